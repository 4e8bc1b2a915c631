//! The networks in bf16 on the CPU, held to PyTorch's own bf16 autocast. On a processor that multiplies bfloat16 and on one that
//! does not.

use lungfish_engine::{Cpu, Precision};
use lungfish_kernels::machine;
use lungfish_models::Architecture;

use crate::in_halves::{DRAWN, Halves};
use crate::networks::{SMALL, Size, whole};

/// Products of tiles round other sums than those of pairs, and Lite0's at 64 pixels come out a little further off.
fn halves() -> Halves<'static, Cpu> {
    let sampled = if machine::tiles() { 1.1 } else { 1.05 };
    Halves { backend: &Cpu, precision: Precision::Bf16, scale: 1.0, sampled }
}

fn check(architecture: Architecture, size: Size, train: bool) {
    // Products that are all of bfloat16 (plain, and tiles), and kinks that are met otherwise (scalar), are other draws of a gradient.
    let usual = ["LUNGFISH_SIMD", "LUNGFISH_KERNELS"].iter().all(|name| std::env::var_os(name).is_none());
    let gradients = if usual && !machine::tiles() { halves().sampled } else { DRAWN };
    halves().check(architecture, size, train, [gradients, halves().sampled]);
}

#[test]
fn a_step_takes_little_more_than_half_the_memory() {
    halves().a_step_takes_little_more_than_half_the_memory(32);
}

#[test]
fn resnet18() {
    check(Architecture::Resnet18, SMALL, true);
    halves().check_adam(Architecture::Resnet18, 1.0);
}

#[test]
fn resnet34_at_224() {
    check(Architecture::Resnet34, whole(Architecture::Resnet34), true);
}

#[test]
fn resnet50_at_224() {
    check(Architecture::Resnet50, whole(Architecture::Resnet50), false);
}

#[test]
fn efficientnet_lite0() {
    check(Architecture::EfficientnetLite0, SMALL, true);
    halves().check_adam(Architecture::EfficientnetLite0, DRAWN);
}

#[test]
fn efficientnet_lite0_at_224() {
    check(Architecture::EfficientnetLite0, whole(Architecture::EfficientnetLite0), true);
}
