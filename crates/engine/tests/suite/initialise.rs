//! Weights from chance: the distribution of each operator, and the very numbers of a seed.

use lungfish_engine::{Backend, GraphBuilder, Padding, Store, Window, initialise};

fn a_seed_gives_the_numbers_it_always_gave<B: Backend>(backend: &B) {
    let network = |width: usize| {
        let mut g = GraphBuilder::new(3);
        let x = g.input();
        let x = g.conv("conv1", x, 6, Window::square(3, 1, Padding::all(1)), 1, true);
        let x = g.batch_norm("bn1", x, 1e-5, 0.1);
        let x = g.conv("dw", x, 6, Window::square(5, 1, Padding::SameUpper), 6, false);
        let x = g.conv("two", x, 8, Window::square(1, 1, Padding::all(0)), 2, false);
        let x = g.global_average_pool("pool", x);
        let x = g.gemm("fc", x, width);
        g.finish(x).unwrap()
    };
    let graph = network(5);
    let mut store = Store::new(backend, &graph).unwrap();
    initialise(&mut store, &graph, 42).unwrap();
    let pinned: [(&str, [f32; 3]); 9] = [
        ("conv1.weight", [-0.145_698_2, 0.048_898_3, 0.065_484_1]),
        ("conv1.bias", [0.0; 3]),
        ("bn1.weight", [1.0; 3]),
        ("bn1.bias", [0.0; 3]),
        ("bn1.running_var", [1.0; 3]),
        ("dw.weight", [-0.109_980_57, -0.247_385_56, 0.093_139_95]),
        ("two.weight", [0.931_304_7, -1.226_217_2, 0.448_909_52]),
        ("fc.weight", [-0.242_547_99, -0.313_969_58, 0.240_751_33]),
        ("fc.bias", [0.010_143_748, -0.220_478_62, 0.194_928_56]),
    ];
    for (name, values) in pinned {
        // Logarithms and sines are the system's, and may differ in the last place.
        for (got, want) in store.get(name).unwrap().iter().zip(values) {
            assert!((got - want).abs() <= 2e-7 * want.abs(), "{name}: {got} is not {want}");
        }
    }
    // Another head leaves the rest as it is; another seed does not.
    let (wide, all) = (network(9), ["conv1.weight", "dw.weight", "two.weight"]);
    let mut other = Store::new(backend, &wide).unwrap();
    initialise(&mut other, &wide, 42).unwrap();
    assert!(all.iter().all(|name| store.get(name).unwrap() == other.get(name).unwrap()));
    initialise(&mut other, &wide, 43).unwrap();
    assert!(all.iter().all(|name| store.get(name).unwrap() != other.get(name).unwrap()));
}

fn deviations_are_those_of_he<B: Backend>(backend: &B) {
    let mut g = GraphBuilder::new(32);
    let x = g.input();
    let x = g.conv("dense", x, 64, Window::square(3, 1, Padding::all(1)), 1, false);
    let x = g.conv("depthwise", x, 64, Window::square(5, 1, Padding::all(2)), 64, false);
    let x = g.global_average_pool("pool", x);
    let x = g.gemm("fc", x, 100);
    let graph = g.finish(x).unwrap();
    let mut store = Store::new(backend, &graph).unwrap();
    initialise(&mut store, &graph, 0).unwrap();
    let deviation = |name: &str| {
        let values = store.get(name).unwrap();
        (values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
    };
    for (name, want) in
        [("dense.weight", 2.0 / (64.0 * 9.0)), ("depthwise.weight", 2.0 / 25.0), ("fc.weight", 1.0 / 64.0 / 3.0)]
    {
        let want = f64::sqrt(want);
        assert!((deviation(name) / want - 1.0).abs() < 0.05, "{name}: {} is not {want}", deviation(name));
    }
    assert!(store.get("fc.weight").unwrap().iter().all(|v| v.abs() <= 0.125));
}

on_every_backend! {
    a_seed_gives_the_numbers_it_always_gave,
    deviations_are_those_of_he,
}
