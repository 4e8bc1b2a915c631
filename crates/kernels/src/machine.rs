//! What the processor offers, and what of it the kernels use.
//!
//! [`path`] names what is in use. Results are the same bits for any number of threads, on one path; how paths relate is
//! written at the head of this crate.
//!
//! Two environment variables make the kernels go another way than they would, so that both can be measured and compared:
//! `LUNGFISH_SIMD` names an instruction set; `LUNGFISH_KERNELS` is `plain`, which leaves the fast algorithms out, `vectors`, which leaves
//! tiles out, or `tiles`, which has the algorithms of tiles where no instruction multiplies them. They are read once.

use std::sync::OnceLock;

/// A variable asks for what is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoiceError {
    variable: &'static str,
    value: String,
    allowed: String,
}

impl std::fmt::Display for ChoiceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}: must be {}", self.variable, self.value, self.allowed)
    }
}

impl std::error::Error for ChoiceError {}

/// What `LUNGFISH_KERNELS` may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernels {
    Fast,
    Plain,
    Vectors,
    Tiles,
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    arch: pulp::Arch,
    kernels: Kernels,
}

/// The instruction sets of this machine by name, the best first.
fn offered() -> Vec<(&'static str, pulp::Arch)> {
    let mut offered = Vec::new();
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    {
        offered.extend(pulp::x86::V4::try_new().map(|v4| ("avx512", pulp::Arch::V4(v4))));
        offered.extend(pulp::x86::V3::try_new().map(|v3| ("avx2+fma", pulp::Arch::V3(v3))));
    }
    #[cfg(target_arch = "aarch64")]
    offered.extend(pulp::aarch64::Neon::try_new().map(|neon| ("neon", pulp::Arch::Neon(neon))));
    offered.push(("scalar", pulp::Arch::Scalar));
    offered
}

fn choose(simd: Option<&str>, kernels: Option<&str>) -> Result<Choice, ChoiceError> {
    let error =
        |variable, value: &str, allowed: String| Err(ChoiceError { variable, value: value.to_owned(), allowed });
    let offered = offered();
    let arch = match simd {
        None | Some("") => offered[0].1,
        Some(name) => match offered.iter().find(|(offered, _)| *offered == name) {
            Some((_, arch)) => *arch,
            None => {
                let names: Vec<&str> = offered.iter().map(|(name, _)| *name).collect();
                return error("LUNGFISH_SIMD", name, format!("{} on this machine", names.join(" or ")));
            }
        },
    };
    let kernels = match kernels {
        None | Some("" | "fast") => Kernels::Fast,
        Some("plain") => Kernels::Plain,
        Some("vectors") => Kernels::Vectors,
        Some("tiles") => Kernels::Tiles,
        Some(name) => return error("LUNGFISH_KERNELS", name, "fast, plain, vectors or tiles".to_owned()),
    };
    Ok(Choice { arch, kernels })
}

fn chosen() -> &'static Result<Choice, ChoiceError> {
    static CHOSEN: OnceLock<Result<Choice, ChoiceError>> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let [simd, kernels] = ["LUNGFISH_SIMD", "LUNGFISH_KERNELS"].map(|name| std::env::var(name).ok());
        choose(simd.as_deref(), kernels.as_deref())
    })
}

/// Whether the two variables ask for something that this machine can do; where not, the kernels do their best.
///
/// # Errors
/// The variable, its value, and what it may be.
pub fn check() -> Result<(), ChoiceError> {
    chosen().as_ref().map(|_| ()).map_err(Clone::clone)
}

/// What kernels are compiled for and run on.
#[inline]
pub(crate) fn arch() -> pulp::Arch {
    chosen().as_ref().map_or_else(|_| pulp::Arch::new(), |choice| choice.arch)
}

fn kernels() -> Kernels {
    chosen().as_ref().map_or(Kernels::Fast, |choice| choice.kernels)
}

/// Whether the fast algorithms are left out.
pub fn plain() -> bool {
    kernels() == Kernels::Plain
}

/// Whether values in bfloat16 are multiplied by tiles: where the processor has AMX, the system lets this process use it, and nothing
/// else is asked for; or where that is asked for, by the twin.
pub fn tiles() -> bool {
    match kernels() {
        Kernels::Plain | Kernels::Vectors => false,
        Kernels::Tiles => true,
        Kernels::Fast => amx(),
    }
}

/// Whether an instruction multiplies tiles on the path that is taken.
pub(crate) fn amx() -> bool {
    simd() == "avx512" && crate::arch::amx::Amx::new().is_some()
}

/// The instruction set that the kernels run on this machine: `"avx512"`, `"avx2+fma"`, `"neon"`
/// or `"scalar"`.
pub fn simd() -> &'static str {
    name(arch())
}

/// The path that the kernels take on this machine, all that their bits depend on besides their operands: the instruction set
/// as [`simd`] names it, with `"/plain"` after it where the fast algorithms are left out. `"avx512"`, `"avx2+fma"`,
/// `"neon"`, `"scalar"`, `"avx512/plain"`, and so on: the strings never change, so that a checkpoint can keep the one of
/// the process that wrote it. What names they may be on this machine says [`paths`].
///
/// ```
/// use lungfish_kernels::machine;
/// assert!(machine::paths().contains(&machine::path()));
/// ```
pub fn path() -> &'static str {
    path_of(simd(), plain())
}

/// Whether products of bfloat16 have an instruction of their own on the path that is taken: AMX's `tdpbf16ps`, or AVX512-BF16's
/// `vdpbf16ps`.
pub fn bf16() -> bool {
    vdpbf16ps() || tiles() && amx()
}

fn vdpbf16ps() -> bool {
    #[cfg(target_arch = "x86_64")]
    let has = std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    let has = false;
    has && simd() == "avx512"
}

/// The path that kernels of bfloat16 values take: as [`path`], `"avx512bf16"` for `"avx512"` where the processor multiplies pairs, and
/// `"amx"` where it multiplies tiles; with `"/tiles"` where their algorithms run without it.
pub fn bf16_path() -> &'static str {
    match (tiles(), vdpbf16ps(), plain()) {
        (true, ..) if amx() => "amx",
        (true, true, _) => "avx512bf16/tiles",
        (true, ..) => match simd() {
            "avx512" => "avx512/tiles",
            "avx2+fma" => "avx2+fma/tiles",
            "neon" => "neon/tiles",
            _ => "scalar/tiles",
        },
        (false, true, false) => "avx512bf16",
        (false, true, true) => "avx512bf16/plain",
        (false, false, _) => path(),
    }
}

/// Every path of this machine, the one that is taken where nothing else is asked for first.
pub fn paths() -> Vec<&'static str> {
    let names = || offered().into_iter().map(|(name, _)| name);
    names().map(|name| path_of(name, false)).chain(names().map(|name| path_of(name, true))).collect()
}

fn path_of(simd: &'static str, plain: bool) -> &'static str {
    match (simd, plain) {
        (simd, false) => simd,
        ("avx512", true) => "avx512/plain",
        ("avx2+fma", true) => "avx2+fma/plain",
        ("neon", true) => "neon/plain",
        (_, true) => "scalar/plain",
    }
}

fn name(arch: pulp::Arch) -> &'static str {
    match arch {
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        pulp::Arch::V4(_) => "avx512",
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        pulp::Arch::V3(_) => "avx2+fma",
        #[cfg(target_arch = "aarch64")]
        pulp::Arch::Neon(_) => "neon",
        _ => "scalar",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_chosen_or_refused() {
        let best = choose(None, None).unwrap();
        assert_eq!(best.kernels, Kernels::Fast);
        assert!(matches!(
            choose(Some("scalar"), Some("plain")).unwrap(),
            Choice { arch: pulp::Arch::Scalar, kernels: Kernels::Plain }
        ));
        let refusal = choose(Some("mmx"), None).unwrap_err().to_string();
        assert!(refusal.starts_with("LUNGFISH_SIMD=mmx: must be ") && refusal.contains("scalar"), "{refusal}");
        assert_eq!(
            choose(None, Some("slow")).unwrap_err().to_string(),
            "LUNGFISH_KERNELS=slow: must be fast, plain, vectors or tiles"
        );
    }

    /// Checkpoints keep these strings.
    #[test]
    fn paths_have_the_names_that_they_always_had() {
        let simd = ["avx512", "avx2+fma", "neon", "scalar"];
        let plain = ["avx512/plain", "avx2+fma/plain", "neon/plain", "scalar/plain"];
        for (simd, plain) in simd.into_iter().zip(plain) {
            assert_eq!((path_of(simd, false), path_of(simd, true)), (simd, plain));
        }
        let here = paths();
        assert!(here.iter().all(|path| simd.contains(path) || plain.contains(path)), "{here:?}");
        assert!(here.contains(&"scalar") && here.contains(&"scalar/plain"), "{here:?}");
        assert_eq!(here[0], offered()[0].0, "the best comes first");
    }

    #[test]
    fn what_is_offered_bears_the_name_of_what_it_is() {
        for (offered, arch) in offered() {
            assert_eq!(name(arch), offered);
            assert_eq!(name(choose(Some(offered), None).unwrap().arch), offered);
        }
        assert!(path().starts_with(simd()) && path().ends_with("/plain") == plain(), "{}", path());
    }
}
