//! Plans in bf16 on the CPU, held against the same plans in fp32; and in f16, which it refuses.

use lungfish_engine::{Cpu, Element, EngineError, Plan, PlanSpec, Precision};

use crate::in_halves::{self, case, step};
use crate::random_graphs::{NONE, SIZE};

#[test]
fn random_graphs_are_near_those_of_single_precision() {
    in_halves::near_single(&Cpu::new(), Precision::Bf16, 300, [0.01, 0.03], [0.02, 0.1]);
}

#[test]
fn the_same_bits_for_any_number_of_threads_and_again() {
    for seed in 0..40 {
        let case = case(seed);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let step = pool.install(|| step(&Cpu::new(), &case, seed, Precision::Bf16));
            let gradients = step.gradients.into_iter().flat_map(|(_, values)| values);
            step.output.into_iter().chain(gradients).map(f32::to_bits).collect::<Vec<_>>()
        };
        let one = run(1);
        assert!(one == run(1) && one == run(2) && one == run(5), "case {seed}");
    }
}

#[test]
fn images_are_halves_and_vectors_are_not() {
    in_halves::images_are_halves_and_vectors_are_not(&Cpu::new(), Precision::Bf16, Element::Bf16);
}

#[test]
fn values_are_read_and_fed_as_single_floats() {
    let is_half = |v: f32| v.to_bits() & 0xffff == 0;
    in_halves::values_are_read_and_fed_as_single_floats(&Cpu::new(), Precision::Bf16, is_half);
}

/// Its memory is that of bf16, and it is computed by nothing here.
#[test]
fn f16_is_refused() {
    for seed in 0..20 {
        let (graph, train, ..) = case(seed);
        let [bf16, f16] = [Precision::Bf16, Precision::F16]
            .map(|precision| PlanSpec { precision, ..PlanSpec::training(&graph, 4, SIZE, NONE, &train) });
        let bytes = [&bf16, &f16].map(|spec| Plan::bytes(&Cpu::new(), &graph, spec).unwrap());
        assert_eq!(bytes[0], bytes[1]);
        let refused = Plan::new(&Cpu::new(), &graph, f16).err();
        // A plan that has no place for halves is one of single floats.
        let Some(refused) = refused else {
            assert!(
                Plan::bytes(&Cpu::new(), &graph, &PlanSpec { precision: Precision::Fp32, ..bf16 }).unwrap() == bytes[1]
            );
            continue;
        };
        assert!(matches!(refused, EngineError::Device { .. }));
        assert_eq!(refused.to_string(), "cpu: computes in fp32 and bf16; f16 is for GPUs");
    }
}
