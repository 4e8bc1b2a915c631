//! AMX (Sapphire Rapids and later): `tdpbf16ps` adds the products of 16 rows of 16 pairs of bfloat16 and 16 columns of as many to 16 by 16
//! single floats, in registers of a kilobyte that Linux gives to a process that asks for them.
//!
//! Its layout is Intel's ("Intel 64 and IA-32 Architectures Software Developer's Manual", volume 1, chapter 18). Written in assembly,
//! for which the compiler needs to know nothing of tiles: it never touches them itself.

use std::arch::asm;
use std::arch::x86_64::__cpuid_count;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::OnceLock;

use super::block::{Block, PAIRS, SIDE, STEP, Steps};

/// Proof that the processor has it, that the system lets this process use it, and that it multiplies: there is no other way to one
/// than [`Amx::new`].
#[derive(Clone, Copy)]
pub(crate) struct Amx(());

/// Proof that this thread's tiles are configured; see [`Amx::configured`].
pub(crate) struct Configured {
    /// It is of one thread.
    _thread: PhantomData<*const ()>,
}

thread_local! {
    /// How many times over this thread has asked for its tiles.
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

impl Amx {
    /// Looked for once a process.
    pub(crate) fn new() -> Option<Self> {
        static FOUND: OnceLock<Option<Amx>> = OnceLock::new();
        *FOUND.get_or_init(|| {
            // The permission is asked for last: it makes room for tiles on every stack of signals.
            let own = (listed() && permitted()).then_some(Amx(()))?;
            own.multiplies().then_some(own)
        })
    }

    /// Runs `f` with eight tiles of 16 rows of 64 bytes; they are given back when it is over, however it ends.
    pub(crate) fn configured<R>(self, f: impl FnOnce(&Configured) -> R) -> R {
        struct Release;
        impl Drop for Release {
            fn drop(&mut self) {
                ASKED.set(ASKED.get() - 1);
                if ASKED.get() == 0 {
                    #[allow(unsafe_code)]
                    // SAFETY: there is a `Release` only where an `Amx` proved that the processor has tiles and may use them; those of
                    // this thread are wanted by nobody any more.
                    unsafe {
                        asm!("tilerelease", options(nostack, nomem));
                    }
                }
            }
        }
        if ASKED.get() == 0 {
            let mut configuration = [0u8; 64];
            configuration[0] = 1;
            for tile in 0..8 {
                configuration[16 + 2 * tile] = 64;
                configuration[48 + tile] = 16;
            }
            #[allow(unsafe_code)]
            // SAFETY: `self` proves that there are tiles and that this process may use them; 64 bytes are read, a configuration of
            // palette 1, which has eight tiles of 16 rows of 64 bytes.
            unsafe {
                asm!("ldtilecfg [{}]", in(reg) configuration.as_ptr(), options(nostack, readonly));
            }
        }
        ASKED.set(ASKED.get() + 1);
        let _release = Release;
        f(&Configured { _thread: PhantomData })
    }

    /// Whether products come out right, of whole numbers, which every order of additions gives exactly: a machine on which they
    /// do not is one without tiles.
    fn multiplies(self) -> bool {
        let number = |i: usize| (i * 37 % 11) as f32 - 5.0;
        // A bfloat16 is the upper half of a float.
        let packed = |i: usize| f32::from_bits(number(2 * i).to_bits() >> 16 | number(2 * i + 1).to_bits());
        let (stride, steps) = (2 * PAIRS, Steps::new(vec![0, PAIRS]));
        let a: Vec<f32> = (0..SIDE * stride).map(packed).collect();
        let b: Vec<f32> = (0..2 * STEP).map(|i| packed(i + 3)).collect();
        let mut c = vec![1.0; SIDE * SIDE];
        let block = Block { a: &a, a_stride: stride, steps: &steps, b: &b, c: &mut c, c_stride: SIDE, add: true };
        self.configured(|tiles| tiles.multiply(block));
        let element = |row: usize, column: usize| -> f32 {
            let products = (0..2 * PAIRS).map(|i| {
                let at = i / PAIRS * STEP + column / PAIRS * (STEP / 2) + i % PAIRS * PAIRS + column % PAIRS + 3;
                let at_a = row * stride + i;
                number(2 * at_a) * number(2 * at) + number(2 * at_a + 1) * number(2 * at + 1)
            });
            1.0 + products.sum::<f32>()
        };
        c.iter().enumerate().all(|(i, c)| *c == element(i / SIDE, i % SIDE))
    }
}

impl Configured {
    /// A block that was checked.
    pub(super) fn multiply(&self, block: Block) {
        block.check();
        let Block { a, a_stride, steps, b, c, c_stride, add } = block;
        let steps = steps.places();
        if steps.is_empty() {
            if !add {
                c.chunks_mut(c_stride).take(SIDE).for_each(|row| row[..SIDE].fill(0.0));
            }
            return;
        }
        #[allow(unsafe_code)]
        // SAFETY: `self` proves that this thread's tiles are configured, as 16 rows of 64 bytes. What is read and written was checked
        // above: 32 rows of 64 bytes `a_stride` floats apart from each of the steps' places in `a` on, 2,048 bytes of `b` a step,
        // 32 rows of 128 bytes `c_stride` floats apart of `c`, which is borrowed alone; and as many places as there are steps, of
        // which there is one at least. No flag but the arithmetic ones changes, nothing is pushed, and no tile is anybody else's.
        unsafe {
            asm!(
                // The lower sixteen rows of sums.
                "mov {p}, {sc}",
                "shl {p}, 4",
                "add {p}, {c}",
                "test {add}, {add}",
                "jnz 2f",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "jmp 3f",
                "2:",
                "tileloadd tmm0, [{c} + {sc}*1]",
                "tileloadd tmm1, [{c} + {sc}*1 + 64]",
                "tileloadd tmm2, [{p} + {sc}*1]",
                "tileloadd tmm3, [{p} + {sc}*1 + 64]",
                // A step of depth.
                "3:",
                "mov {p}, [{at}]",
                "lea {p}, [{a} + {p}*4]",
                "tileloadd tmm4, [{p} + {sa}*1]",
                "tileloadd tmm6, [{b} + {sb}*1]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm7, [{b} + {sb}*1 + 1024]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "add {p}, {sixteen}",
                "tileloadd tmm5, [{p} + {sa}*1]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {at}, 8",
                "add {b}, 2048",
                "dec {n}",
                "jnz 3b",
                "mov {p}, {sc}",
                "shl {p}, 4",
                "add {p}, {c}",
                "tilestored [{c} + {sc}*1], tmm0",
                "tilestored [{c} + {sc}*1 + 64], tmm1",
                "tilestored [{p} + {sc}*1], tmm2",
                "tilestored [{p} + {sc}*1 + 64], tmm3",
                p = out(reg) _,
                at = inout(reg) steps.as_ptr() => _,
                n = inout(reg) steps.len() => _,
                a = in(reg) a.as_ptr(),
                sa = in(reg) 4 * a_stride,
                sixteen = in(reg) 64 * a_stride,
                b = inout(reg) b.as_ptr() => _,
                sb = in(reg) 64usize,
                c = in(reg) c.as_mut_ptr(),
                sc = in(reg) 4 * c_stride,
                add = in(reg) usize::from(add),
                options(nostack),
            );
        }
    }
}

/// Whether the processor names tiles and their products of bfloat16: CPUID, leaf 7, bits 24 and 22 of EDX.
fn listed() -> bool {
    let wanted = 1 << 24 | 1 << 22;
    __cpuid_count(0, 0).eax >= 7 && __cpuid_count(7, 0).edx & wanted == wanted
}

/// Asks Linux for the registers, for all threads of this process: `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`, Linux 5.16 and later
/// (Documentation/arch/x86/xstate.rst). An older one, or a machine that is made to look like another, refuses.
fn permitted() -> bool {
    let result: i64;
    #[allow(unsafe_code)]
    // SAFETY: the system call takes two numbers and touches no memory of this process; the two registers that every call changes are
    // named.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") 158i64 => result,
            in("rdi") 0x1023u64,
            in("rsi") 18u64,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}
