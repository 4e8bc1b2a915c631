/* AMX on a processor that has none. Each of its instructions is refused there (SIGILL); this library, loaded before a program, catches
 * that, decodes the instruction from its bytes, does what Intel's manual says ("Intel 64 and IA-32 Architectures Software
 * Developer's Manual", volume 2) and goes on behind it. What it cannot decode, and what would fault, aborts. Slow, and no proof of speed.
 *
 * The unit tests of crates/kernels/src/arch/amx.rs build it and run themselves under it. To run other tests of the kernels, let
 * `listed` and `permitted` there be true, in a copy, and:
 *
 *     cc -O2 -march=native -shared -fPIC -o amx.so crates/kernels/tests/amx.c -lm
 *     cargo test -p lungfish-kernels --no-run
 *     AMX_COUNTS=1 LD_PRELOAD=$PWD/amx.so target/debug/deps/kernels-... halves
 *
 * AMX_COUNTS has it end with how many instructions of each kind there were, counted without locks. */
#define _GNU_SOURCE
#include <math.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

enum { TILES = 8, ROWS = 16, ROW = 64, LANES = 16 };

static __thread uint8_t tile[TILES][ROWS * ROW];
static __thread uint8_t rows[TILES];
static __thread uint16_t row_bytes[TILES];
static __thread int configured;

enum { CONFIGURED, RELEASED, ZEROED, LOADED, STORED, MULTIPLIED, KINDS };
static unsigned long long counts[KINDS];

static void give_up(const char *why, const uint8_t *code) {
  char text[128];
  int n = snprintf(text, sizeof text, "amx.c: %s: %02x %02x %02x %02x %02x %02x\n", why, code[0], code[1], code[2], code[3],
                   code[4], code[5]);
  (void)!write(2, text, n);
  abort();
}

/* A bfloat16; what is too small for a normal number is zero. */
static float widened(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, 4);
  return (bits & 0x7f800000) == 0 ? 0 : value;
}

/* LDTILECFG */
static void configure(const uint8_t *from, const uint8_t *code) {
  if (from[0] != 1) give_up("not palette 1", code);
  for (int i = 1; i < 16; i++)
    if (from[i]) give_up("a reserved byte of the configuration", code);
  for (int t = 0; t < TILES; t++) {
    memcpy(&row_bytes[t], from + 16 + 2 * t, 2);
    rows[t] = from[48 + t];
    if (rows[t] > ROWS || row_bytes[t] > ROW) give_up("a tile of this size", code);
  }
  memset(tile, 0, sizeof tile);
  configured = 1;
}

/* TDPBF16PS */
static void multiply(int c, int a, int b) {
  for (int row = 0; row < rows[c]; row++) {
    float first[LANES] = {0}, second[LANES] = {0};
    for (int k = 0; k < row_bytes[a] / 4; k++) {
      uint16_t left[2], right[2];
      memcpy(left, tile[a] + ROW * row + 4 * k, 4);
      for (int n = 0; n < LANES; n++) {
        memcpy(right, tile[b] + ROW * k + 4 * n, 4);
        first[n] = fmaf(widened(left[0]), widened(right[0]), first[n]);
        second[n] = fmaf(widened(left[1]), widened(right[1]), second[n]);
      }
    }
    float *sums = (float *)(tile[c] + ROW * row);
    for (int n = 0; n < LANES; n++) sums[n] += first[n] + second[n];
  }
}

/* The registers of general use as their numbers in an instruction. */
static const int general[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void refused(int signal, siginfo_t *info, void *context) {
  (void)signal;
  (void)info;
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const uint8_t *code = (const uint8_t *)registers[REG_RIP];
  if (code[0] != 0xC4 || (code[1] & 0x1f) != 2) give_up("no VEX of map 0F38", code);
  /* The first byte of VEX has its bits turned round. */
  int high_reg = !(code[1] & 0x80) << 3, high_index = !(code[1] & 0x40) << 3, high_base = !(code[1] & 0x20) << 3;
  int wide = code[2] >> 7, other = (~(code[2] >> 3)) & 15, length = (code[2] >> 2) & 1, prefix = code[2] & 3;
  if (wide || length) give_up("VEX.W or VEX.L", code);
  int opcode = code[3], modrm = code[4], mode = modrm >> 6, reg = ((modrm >> 3) & 7) | high_reg, rm = modrm & 7, bytes = 5;
  uint64_t address = 0, index = 0;
  if (mode != 3) {
    int base = rm | high_base;
    if (rm == 4) {
      uint8_t sib = code[bytes++];
      int number = ((sib >> 3) & 7) | high_index;
      if ((sib & 7) == 5 && mode == 0) give_up("an address without a base", code);
      base = (sib & 7) | high_base;
      if (number != 4) index = (uint64_t)registers[general[number]] << (sib >> 6);
    } else if (rm == 5 && mode == 0) {
      give_up("an address from RIP", code);
    }
    int32_t displacement = 0;
    if (mode == 1) {
      displacement = (int8_t)code[bytes];
      bytes += 1;
    } else if (mode == 2) {
      memcpy(&displacement, code + bytes, 4);
      bytes += 4;
    }
    address = registers[general[base]] + (int64_t)displacement;
  }
  if (opcode == 0x49 && prefix == 0 && mode != 3 && (reg & 7) == 0) {
    configure((const uint8_t *)(address + index), code);
    counts[CONFIGURED]++;
  } else if (opcode == 0x49 && prefix == 0 && modrm == 0xC0) {
    configured = 0;
    counts[RELEASED]++;
  } else if (!configured) {
    give_up("tiles that are not configured", code);
  } else if (reg >= TILES) {
    give_up("a tile of this number", code);
  } else if (opcode == 0x49 && prefix == 3 && mode == 3 && rm == 0) {
    memset(tile[reg], 0, sizeof tile[reg]);
    counts[ZEROED]++;
  } else if (opcode == 0x4B && mode != 3 && rm == 4 && prefix == 3) {
    for (int r = 0; r < rows[reg]; r++) memcpy(tile[reg] + ROW * r, (const void *)(address + index * r), row_bytes[reg]);
    counts[LOADED]++;
  } else if (opcode == 0x4B && mode != 3 && rm == 4 && prefix == 2) {
    for (int r = 0; r < rows[reg]; r++) memcpy((void *)(address + index * r), tile[reg] + ROW * r, row_bytes[reg]);
    counts[STORED]++;
  } else if (opcode == 0x5C && prefix == 2 && mode == 3) {
    if (other >= TILES || reg == rm || reg == other || rm == other) give_up("these three tiles", code);
    multiply(reg, rm, other);
    counts[MULTIPLIED]++;
  } else {
    give_up("an unknown instruction", code);
  }
  registers[REG_RIP] += bytes;
}

static void count(void) {
  if (getenv("AMX_COUNTS"))
    fprintf(stderr, "amx.c: %llu configured, %llu released, %llu zeroed, %llu loaded, %llu stored, %llu multiplied\n",
            counts[CONFIGURED], counts[RELEASED], counts[ZEROED], counts[LOADED], counts[STORED], counts[MULTIPLIED]);
}

__attribute__((constructor)) static void loaded(void) {
  struct sigaction action = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO};
  sigemptyset(&action.sa_mask);
  sigaction(SIGILL, &action, 0);
  atexit(count);
}
