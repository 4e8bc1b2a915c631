/* AMX's instructions on a processor that has none: each is refused (SIGILL), decoded here from its bytes, done as Intel's manual says
 * ("Intel 64 and IA-32 Architectures Software Developer's Manual", volume 2), and stepped over. Slow, and no proof of speed.
 *
 *     cc -O3 -march=native -shared -fPIC -o amx.so golden/kernels/amx.c -lm
 *
 * Let `listed` and `permitted` in crates/kernels/src/arch/amx.rs be true, in a copy, and run a test program of the kernels:
 *
 *     cargo test -p lungfish-kernels --no-run
 *     EMU_SAY=1 LD_PRELOAD=$PWD/amx.so target/debug/deps/kernels-... halves
 *
 * It ends with how many instructions of each kind there were; what it cannot decode, or what would fault, aborts. The counts are
 * taken without locks. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <math.h>
static __thread uint8_t tile[8][1024];
static __thread uint8_t rows[8]; static __thread uint16_t colsb[8]; static __thread int on;
static unsigned long long counts[8];
static const int map[16]={REG_RAX,REG_RCX,REG_RDX,REG_RBX,REG_RSP,REG_RBP,REG_RSI,REG_RDI,REG_R8,REG_R9,REG_R10,REG_R11,REG_R12,REG_R13,REG_R14,REG_R15};
static float bf(uint16_t x){uint32_t b=(uint32_t)x<<16;float f;memcpy(&f,&b,4);if((b&0x7f800000)==0)f=0;return f;}
static struct sigaction old;
static void die(const char*w,uint8_t*p){char s[200];int n=snprintf(s,200,"emu: %s %02x %02x %02x %02x %02x %02x\n",w,p[0],p[1],p[2],p[3],p[4],p[5]);(void)!write(2,s,n);abort();}
static void h(int sig,siginfo_t*si,void*u){
  ucontext_t*c=u;greg_t*g=c->uc_mcontext.gregs;uint8_t*p=(uint8_t*)g[REG_RIP];
  if(p[0]!=0xC4||(p[1]&0x1f)!=2) die("not VEX 0F38",p);
  int R=!(p[1]&0x80),X=!(p[1]&0x40),B=!(p[1]&0x20);int W=p[2]>>7,v=(~(p[2]>>3))&15,L=(p[2]>>2)&1,pp=p[2]&3;
  if(W||L) die("W/L",p);
  int op=p[3],modrm=p[4],mod=modrm>>6,reg=((modrm>>3)&7)|(R<<3),rm=modrm&7;int len=5;uint64_t ea=0,index=0;
  if(mod!=3){
    int base;int has=0;
    if(rm==4){uint8_t sib=p[5];len++;int i=((sib>>3)&7)|(X<<3);int sc=sib>>6;base=(sib&7)|(B<<3);
      if((sib&7)==5&&mod==0) die("no base",p);
      if(i!=4){index=(uint64_t)g[map[i]]<<sc;} has=1;}
    else {if(rm==5&&mod==0)die("rip",p);base=rm|(B<<3);}
    (void)has;
    int64_t d=0;if(mod==1){d=(int8_t)p[len];len+=1;}else if(mod==2){int32_t x;memcpy(&x,p+len,4);d=x;len+=4;}
    ea=g[map[base]]+d;
  }
  if(op==0x49&&pp==0&&mod!=3&&(reg&7)==0){ uint8_t*m=(uint8_t*)(ea+index); if(m[0]!=1)die("palette",p);
    for(int t=0;t<8;t++){memcpy(&colsb[t],m+16+2*t,2);rows[t]=m[48+t];if(rows[t]>16||colsb[t]>64)die("config",p);} for(int i=1;i<16;i++)if(m[i])die("reserved",p); memset(tile,0,sizeof tile);on=1;counts[0]++; }
  else if(op==0x49&&pp==0&&mod==3&&modrm==0xC0){ on=0;counts[1]++; }
  else if(!on) die("not configured",p);
  else if(op==0x49&&pp==3&&mod==3&&rm==0){ memset(tile[reg],0,1024);counts[2]++; }
  else if(op==0x4B&&mod!=3&&rm==4&&(pp==3||pp==2)){ // F2 load, F3 store
    for(int r=0;r<rows[reg];r++){uint8_t*m=(uint8_t*)(ea+index*r); if(pp==3)memcpy(tile[reg]+64*r,m,colsb[reg]);else memcpy(m,tile[reg]+64*r,colsb[reg]);} counts[pp==3?3:4]++; if(((ea|index)&63)!=0) counts[6]++; }
  else if(op==0x5C&&pp==2&&mod==3){ int d=reg,a=rm,b=v; if(d==a||d==b||a==b)die("same tiles",p);
    for(int m=0;m<rows[d];m++){float t[16]={0},u[16]={0};
      for(int k=0;k<colsb[a]/4;k++){uint16_t*pa=(uint16_t*)(tile[a]+64*m+4*k);float a0=bf(pa[0]),a1=bf(pa[1]);
        for(int n=0;n<16;n++){uint16_t*pb=(uint16_t*)(tile[b]+64*k+4*n);t[n]=fmaf(a0,bf(pb[0]),t[n]);u[n]=fmaf(a1,bf(pb[1]),u[n]);}}
      float*o=(float*)(tile[d]+64*m);for(int n=0;n<16;n++)o[n]+=t[n]+u[n];}
    counts[5]++; }
  else die("unknown",p);
  g[REG_RIP]+=len;
}
static void fin(void){ if(getenv("EMU_SAY")){fprintf(stderr,"emu: config %llu release %llu zero %llu load %llu store %llu product %llu; not aligned %llu\n",counts[0],counts[1],counts[2],counts[3],counts[4],counts[5],counts[6]);} }
__attribute__((constructor)) static void init(void){struct sigaction s;memset(&s,0,sizeof s);s.sa_sigaction=h;s.sa_flags=SA_SIGINFO|SA_NODEFER|SA_ONSTACK;sigaction(SIGILL,&s,&old);atexit(fin);}
