//! Weights into networks: by name, from the shipped file, from chance.

use lungfish_engine::{Cpu, Store, TensorSpec};
use lungfish_models::{Architecture, HeadConfig, Network, Tensor, Tensors, imagenet, initialise, load_backbone};

fn network(architecture: Architecture, classes: usize) -> (Network, Store<Cpu>) {
    let network =
        Network::new(architecture, classes, &HeadConfig { hidden: 16, dropout: 0.0, ..HeadConfig::default() }).unwrap();
    let store = Store::new(&Cpu::new(), &network.graph).unwrap();
    (network, store)
}

/// A number for every element: the tensor's place times 1000 and its own, wrapped.
fn tensors_of(specs: &[TensorSpec]) -> Tensors {
    specs
        .iter()
        .enumerate()
        .map(|(k, s)| {
            let data = (0..s.len()).map(|i| (k * 1000 + i % 997) as f32).collect();
            (s.name.clone(), Tensor { shape: s.shape.clone(), data })
        })
        .collect()
}

#[test]
fn everything_fits_and_is_set() {
    let (network, mut store) = network(Architecture::Resnet18, 2);
    let specs = store.tensors().to_vec();
    let tensors = tensors_of(&specs);
    let report = load_backbone(&mut store, &network, &tensors).unwrap();
    assert_eq!((report.loaded, report.head), (specs.len(), true));
    assert!(report.missing.is_empty() && report.unexpected.is_empty());
    for spec in &specs {
        assert_eq!(store.get(&spec.name).unwrap(), tensors[&spec.name].data, "{}", spec.name);
    }
}

#[test]
fn an_old_classifier_is_told_and_the_head_left_alone() {
    let (network, mut store) = network(Architecture::Resnet18, 2);
    let specs: Vec<TensorSpec> = store.tensors().iter().filter(|s| s.part != network.head).cloned().collect();
    let mut tensors = tensors_of(&specs);
    tensors.insert("fc.weight".into(), Tensor { shape: vec![1000, 512], data: vec![1.0; 512_000] });
    tensors.insert("fc.bias".into(), Tensor { shape: vec![1000], data: vec![1.0; 1000] });
    tensors.insert("bn1.num_batches_tracked".into(), Tensor { shape: vec![], data: vec![7.0] });
    let report = load_backbone(&mut store, &network, &tensors).unwrap();
    assert_eq!((report.loaded, report.head), (specs.len(), false));
    assert_eq!(report.missing, ["fc.fc1.weight", "fc.fc1.bias", "fc.fc2.weight", "fc.fc2.bias"]);
    assert_eq!(report.missing_in_backbone(&network).count(), 0);
    assert_eq!(report.unexpected, ["fc.bias", "fc.weight"]);
    assert_eq!(store.get("fc.fc1.weight").unwrap(), vec![0.0; 16 * 512]);
}

#[test]
fn a_head_for_other_classes_is_not_half_loaded() {
    let (_, three) = network(Architecture::Resnet18, 3);
    let (network, mut store) = network(Architecture::Resnet18, 2);
    let report = load_backbone(&mut store, &network, &tensors_of(three.tensors())).unwrap();
    assert!(!report.head);
    assert_eq!(report.unexpected, ["fc.fc1.bias", "fc.fc1.weight", "fc.fc2.bias", "fc.fc2.weight"]);
    assert_eq!(store.get("fc.fc1.weight").unwrap(), vec![0.0; 16 * 512]);
}

#[test]
fn a_smaller_network_is_told_by_what_is_missing() {
    let (_, small) = network(Architecture::Resnet18, 2);
    let (network, mut store) = network(Architecture::Resnet34, 2);
    let report = load_backbone(&mut store, &network, &tensors_of(small.tensors())).unwrap();
    assert_eq!(report.missing_in_backbone(&network).next(), Some("layer1.2.conv1.weight"));
    assert!(report.unexpected.is_empty());
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_set() {
    let (network, mut store) = network(Architecture::Resnet18, 2);
    let mut tensors = tensors_of(store.tensors());
    tensors.insert("layer4.1.bn2.bias".into(), Tensor { shape: vec![256], data: vec![1.0; 256] });
    let sentence = load_backbone(&mut store, &network, &tensors).unwrap_err().to_string();
    assert_eq!(sentence, "tensor layer4.1.bn2.bias has shape [256] where resnet18 needs [512]");
    assert_eq!(store.get("conv1.weight").unwrap(), vec![0.0; 64 * 3 * 49]);

    let lite = imagenet(Architecture::EfficientnetLite0).unwrap();
    let sentence = load_backbone(&mut store, &network, &lite).unwrap_err().to_string();
    assert_eq!(
        sentence,
        "none of the 245 tensors belongs to resnet18's backbone (the first is named _blocks.0._bn1.bias)"
    );
}

#[test]
fn shipped_weights_fill_the_backbone() {
    let (network, mut store) = network(Architecture::EfficientnetLite0, 2);
    let tensors = imagenet(Architecture::EfficientnetLite0).unwrap();
    let report = load_backbone(&mut store, &network, &tensors).unwrap();
    assert_eq!(report.missing_in_backbone(&network).count(), 0);
    assert_eq!(report.missing, ["_fc.fc1.weight", "_fc.fc1.bias", "_fc.fc2.weight", "_fc.fc2.bias"]);
    assert_eq!((report.loaded, report.unexpected.len()), (245, 0));
    assert!(tensors.values().all(|t| t.data.iter().all(|v| v.is_finite())));
}

#[test]
fn fresh_weights_have_torchvisions_distributions() {
    let (network, mut store) = network(Architecture::Resnet18, 2);
    initialise(&mut store, &network, 1).unwrap();
    let moments = |name: &str| {
        let v = store.get(name).unwrap();
        let n = v.len() as f64;
        let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
        let variance = v.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / n;
        (mean, variance.sqrt(), v.iter().fold(0.0_f32, |m, x| m.max(x.abs())))
    };
    // kaiming_normal_(fan_out, relu): sqrt(2 / (512 * 3 * 3)).
    let (mean, deviation, largest) = moments("layer4.1.conv2.weight");
    let wanted = (2.0_f64 / 4608.0).sqrt();
    assert!(mean.abs() < wanted * 3e-3 && (deviation / wanted - 1.0).abs() < 3e-3, "{mean} {deviation} {wanted}");
    assert!(f64::from(largest) > 4.0 * wanted);
    // nn.Linear: uniform within 1 / sqrt(512), whose deviation is that over sqrt(3).
    let bound = 1.0 / 512_f64.sqrt();
    let (_, deviation, largest) = moments("fc.fc1.weight");
    assert!((deviation * 3_f64.sqrt() / bound - 1.0).abs() < 2e-2, "{deviation}");
    assert!(f64::from(largest) <= bound);
    assert!(moments("fc.fc1.bias").2 > 0.0);
    assert_eq!(store.get("layer2.0.downsample.1.weight").unwrap(), vec![1.0; 128]);
    assert_eq!(store.get("layer2.0.bn1.bias").unwrap(), vec![0.0; 128]);
    assert_eq!(store.get("layer2.0.bn1.running_var").unwrap(), vec![1.0; 128]);
}

#[test]
fn fresh_weights_depend_on_seed_and_name_alone() {
    let (wide, mut a) = network(Architecture::EfficientnetLite0, 2);
    let (other, mut b) = network(Architecture::EfficientnetLite0, 5);
    initialise(&mut a, &wide, 7).unwrap();
    initialise(&mut b, &other, 7).unwrap();
    let get = |store: &Store<Cpu>, name: &str| store.get(name).unwrap();
    assert_eq!(get(&a, "_conv_stem.weight"), get(&b, "_conv_stem.weight"));
    assert_ne!(get(&a, "_blocks.3._bn1.weight"), get(&a, "_blocks.3._bn1.bias"));
    assert_ne!(get(&a, "_blocks.8._expand_conv.weight"), get(&a, "_blocks.7._expand_conv.weight"));
    initialise(&mut b, &other, 8).unwrap();
    assert_ne!(get(&a, "_conv_stem.weight"), get(&b, "_conv_stem.weight"));
}
