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
use std::time::{Duration, Instant};

use super::block::{Block, PAIRS, SIDE, STEP, Steps};

/// Proof that the processor has it, that the system lets this process use it, and that it keeps and multiplies what it is given:
/// there is no other way to one than [`Amx::new`].
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

/// Floats of a tile, and tiles.
const TILE: usize = PAIRS * PAIRS;
const TILES: usize = 8;

/// How long each thread of the proof holds its tiles.
const HELD: Duration = Duration::from_millis(8);

impl Amx {
    /// Looked for once a process.
    pub(crate) fn new() -> Option<Self> {
        static FOUND: OnceLock<Option<Amx>> = OnceLock::new();
        *FOUND.get_or_init(|| {
            let own = (listed() && permitted()).then_some(Amx(()))?;
            (own.multiplies() && own.keeps()).then_some(own)
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
            for tile in 0..TILES {
                configuration[16 + 2 * tile] = 64;
                configuration[48 + tile] = 16;
            }
            #[allow(unsafe_code)]
            // SAFETY: `self` proves that there are tiles and that this process may use them; 64 bytes are read, a configuration of
            // palette 1, which `listed` found to have eight tiles of 16 rows of 64 bytes.
            unsafe {
                asm!("ldtilecfg [{}]", in(reg) configuration.as_ptr(), options(nostack, readonly));
            }
        }
        ASKED.set(ASKED.get() + 1);
        let _release = Release;
        f(&Configured { _thread: PhantomData })
    }

    /// Whether products come out right, of whole numbers, which every order of additions gives exactly.
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
                let (a, b) = (row * stride + i, i * SIDE + column + 3);
                number(2 * a) * number(2 * b) + number(2 * a + 1) * number(2 * b + 1)
            });
            1.0 + products.sum::<f32>()
        };
        c.iter().enumerate().all(|(i, c)| *c == element(i / SIDE, i % SIDE))
    }

    /// Whether tiles keep what they hold while threads take turns: virtual machines are told of that lost them when a thread was
    /// put aside. More threads than processors hold theirs for some milliseconds each.
    fn keeps(self) -> bool {
        let threads = 2 * std::thread::available_parallelism().map_or(1, usize::from) + 1;
        let held = |seed: usize| {
            let values: Vec<f32> = (0..TILES * TILE).map(|i| (seed * 7919 + i) as f32).collect();
            self.configured(|tiles| {
                let (begun, mut kept) = (Instant::now(), true);
                while kept && begun.elapsed() < HELD {
                    tiles.load(&values);
                    let turn = Instant::now();
                    while turn.elapsed() < HELD / 4 {
                        std::thread::yield_now();
                    }
                    let mut found = vec![0.0; TILES * TILE];
                    tiles.store(&mut found);
                    kept = found == values;
                }
                kept
            })
        };
        std::thread::scope(|scope| {
            let spawned: Vec<_> =
                (0..threads).map(|seed| std::thread::Builder::new().spawn_scoped(scope, move || held(seed))).collect();
            // Where there are no more threads to be had, fewer are the proof.
            spawned.into_iter().flatten().all(|thread| thread.join().unwrap_or(false))
        })
    }
}

impl Configured {
    /// A block.
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
        // which there is one at least. No flag but the arithmetic ones changes, and nothing is pushed.
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
                "tileloadd tmm7, [{b} + {sb}*1 + 64]",
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
                sb = in(reg) 128usize,
                c = in(reg) c.as_mut_ptr(),
                sc = in(reg) 4 * c_stride,
                add = in(reg) usize::from(add),
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }

    /// Eight tiles, one after another. They are said to nobody: the compiler has none of its own to lose, and [`Configured::store`] is
    /// to find them.
    fn load(&self, values: &[f32]) {
        assert_eq!(values.len(), TILES * TILE);
        #[allow(unsafe_code)]
        // SAFETY: `self` proves that this thread's tiles are configured, as 16 rows of 64 bytes; as many are read as there are.
        unsafe {
            asm!(
                "tileloadd tmm0, [{p} + {s}*1]",
                "tileloadd tmm1, [{p} + {s}*1 + 1024]",
                "tileloadd tmm2, [{p} + {s}*1 + 2048]",
                "tileloadd tmm3, [{p} + {s}*1 + 3072]",
                "tileloadd tmm4, [{p} + {s}*1 + 4096]",
                "tileloadd tmm5, [{p} + {s}*1 + 5120]",
                "tileloadd tmm6, [{p} + {s}*1 + 6144]",
                "tileloadd tmm7, [{p} + {s}*1 + 7168]",
                p = in(reg) values.as_ptr(),
                s = in(reg) 64usize,
                options(nostack, readonly),
            );
        }
    }

    /// What eight tiles hold.
    fn store(&self, values: &mut [f32]) {
        assert_eq!(values.len(), TILES * TILE);
        #[allow(unsafe_code)]
        // SAFETY: as for `load`; as many are written, to memory that is borrowed alone.
        unsafe {
            asm!(
                "tilestored [{p} + {s}*1], tmm0",
                "tilestored [{p} + {s}*1 + 1024], tmm1",
                "tilestored [{p} + {s}*1 + 2048], tmm2",
                "tilestored [{p} + {s}*1 + 3072], tmm3",
                "tilestored [{p} + {s}*1 + 4096], tmm4",
                "tilestored [{p} + {s}*1 + 5120], tmm5",
                "tilestored [{p} + {s}*1 + 6144], tmm6",
                "tilestored [{p} + {s}*1 + 7168], tmm7",
                p = in(reg) values.as_mut_ptr(),
                s = in(reg) 64usize,
                options(nostack),
            );
        }
    }
}

/// Whether the processor names tiles and their products of bfloat16 (CPUID, leaf 7, bits 24 and 22 of EDX), and has eight of 16 rows of
/// 64 bytes in palette 1 (leaf 1DH).
fn listed() -> bool {
    let wanted = 1 << 24 | 1 << 22;
    if __cpuid_count(0, 0).eax < 0x1d || __cpuid_count(7, 0).edx & wanted != wanted {
        return false;
    }
    let palette = __cpuid_count(0x1d, 1);
    palette.ebx & 0xffff >= 64 && palette.ebx >> 16 >= 8 && palette.ecx & 0xffff >= 16
}

/// Asks Linux for the registers, for all threads of this process: `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`, Linux 5.16 and later
/// (Documentation/arch/x86/xstate.rst). It refuses where it is older, where it does not keep them itself, and where a thread has a stack
/// for signals that is too small for them.
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

#[cfg(test)]
#[cfg(target_env = "gnu")]
mod tests {
    // A test that cannot run says so.
    #![allow(clippy::print_stdout)]

    use std::process::Command;

    use super::super::tiles::OnTwin;
    use super::*;
    use crate::stored::{Bf16, Stored, pair};

    /// What this test program is told by where the instructions are played to it.
    const PLAYED: &str = "LUNGFISH_TEST_AMX_IS_PLAYED";

    /// The same bits as the twin's, of numbers of all sizes, for every way to say where operands lie.
    fn agrees_with_the_twin(amx: Amx) {
        let mut drawn = 1u32;
        let mut number = || {
            drawn = drawn.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // From 2^-13 to 2^12, of either sign.
            f32::from_bits(drawn & 0x807f_ffff | (114 + (drawn >> 24) % 25) << 23)
        };
        for (places, a_stride, c_stride) in
            [(vec![0], 16, 32), (vec![0, 16, 48], 80, 40), (vec![5, 3, 100], 7, 33), (vec![], 16, 32)]
        {
            let mut packed = || pair(Bf16::rounded(number()), Bf16::rounded(number()));
            let a: Vec<f32> = (0..100 + 31 * a_stride + PAIRS).map(|_| packed()).collect();
            let b: Vec<f32> = (0..places.len() * STEP).map(|_| packed()).collect();
            let before: Vec<f32> = (0..31 * c_stride + SIDE).map(|_| number()).collect();
            let steps = &Steps::new(places);
            for add in [false, true] {
                let computed = |by: &dyn Fn(Block)| {
                    let mut c = before.clone();
                    by(Block { a: &a, a_stride, steps, b: &b, c: &mut c, c_stride, add });
                    c.into_iter().map(f32::to_bits).collect::<Vec<_>>()
                };
                let own = computed(&|block| amx.configured(|tiles| tiles.multiply(block)));
                let twins = computed(&|block| crate::machine::arch().dispatch(OnTwin(block)));
                assert!(own == twins, "{} steps, {a_stride} and {c_stride} apart, add: {add}", steps.len());
            }
        }
    }

    #[test]
    fn the_processor_computes_what_the_twin_does() {
        match Amx::new() {
            Some(amx) => agrees_with_the_twin(amx),
            None => println!("skipped: there is no AMX"),
        }
    }

    /// Runs only in the test below.
    #[test]
    fn under_a_program_that_plays_the_instructions() {
        if std::env::var_os(PLAYED).is_some() {
            let amx = Amx(());
            assert!(amx.multiplies(), "multiplies");
            assert!(amx.keeps(), "keeps");
            agrees_with_the_twin(amx);
        }
    }

    /// Encoding, addresses, configuration and order of what stands above, on a processor without AMX.
    #[test]
    fn the_instructions_do_what_the_manual_says() {
        if listed() {
            // It would take those that need no permission itself.
            println!("skipped: the processor has AMX, and is compared with the twin");
            return;
        }
        let folder = std::env::temp_dir().join(format!("lungfish-amx-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let library = folder.join("amx.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/amx.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O2", "-march=native", "-shared", "-fPIC", "-o"]).arg(&library).args([source, "-lm"]);
        match compiler.output() {
            Err(error) => println!("skipped: there is no compiler for C ({error})"),
            Ok(out) => {
                assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
                let (_, own) = module_path!().split_once("::").unwrap();
                let out = Command::new(std::env::current_exe().unwrap())
                    .arg(format!("{own}::under_a_program_that_plays_the_instructions"))
                    .args(["--exact", "--nocapture"])
                    .envs([(PLAYED, "1".as_ref()), ("AMX_COUNTS", "1".as_ref()), ("LD_PRELOAD", library.as_os_str())])
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&out.stdout) + String::from_utf8_lossy(&out.stderr);
                assert!(out.status.success() && said.contains("1 passed"), "{said}");
                let multiplied = said.split(", ").find_map(|part| part.trim().strip_suffix(" multiplied"));
                // Four of each step: one product of the proof has two, those compared have seven, twice.
                assert_eq!(multiplied, Some("64"), "{said}");
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
