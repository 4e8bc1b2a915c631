//! Weights into networks: by name, from the shipped file, from chance.

use lungfish_engine::{Cpu, Input, Plan, PlanSpec, Store, TensorSpec};
use lungfish_models::{
    Architecture, FreshHead, HeadConfig, HeadLoad, LoadReport, Network, Tensor, Tensors, Weights, WeightsError,
    imagenet, initialise, load_backbone,
};

const HEAD: [&str; 4] = ["fc.fc1.weight", "fc.fc1.bias", "fc.fc2.weight", "fc.fc2.bias"];

fn network(architecture: Architecture, classes: usize) -> (Network, Store<Cpu>) {
    let network =
        Network::new(architecture, classes, &HeadConfig { hidden: 16, dropout: 0.0, ..HeadConfig::default() }).unwrap();
    let store = Store::new(&Cpu::new(), &network.graph).unwrap();
    (network, store)
}

fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(str::to_owned).to_vec()
}

/// Loads for the classes A, B, ...
fn load(store: &mut Store<Cpu>, network: &Network, weights: &Weights) -> Result<LoadReport, WeightsError> {
    let classes: Vec<String> = ('A'..).take(network.classes).map(String::from).collect();
    load_backbone(store, network, weights, &classes)
}

fn refusal(store: &mut Store<Cpu>, network: &Network, tensors: Tensors) -> String {
    let sentence = load(store, network, &tensors.into()).unwrap_err().to_string();
    assert_eq!(store.get("conv1.weight").unwrap(), vec![0.0; 64 * 3 * 49], "nothing is set");
    sentence
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

fn tensor(shape: &[usize]) -> Tensor {
    Tensor { shape: shape.to_vec(), data: vec![1.0; shape.iter().product()] }
}

#[test]
fn everything_fits_and_is_set() {
    let (network, mut store) = network(Architecture::Resnet18, 2);
    let specs = store.tensors().to_vec();
    let weights = Weights::from(tensors_of(&specs)).with_classes(["A", "B"]);
    let report = load(&mut store, &network, &weights).unwrap();
    assert_eq!((report.loaded, report.head), (specs.len(), HeadLoad::Taken));
    assert!(report.missing.is_empty() && report.unexpected.is_empty());
    for spec in &specs {
        assert_eq!(store.get(&spec.name).unwrap(), weights.tensors[&spec.name].data, "{}", spec.name);
    }
}

#[test]
fn an_old_classifier_is_told_and_the_head_left_alone() {
    let (network, mut store) = network(Architecture::Resnet18, 2);
    let specs: Vec<TensorSpec> = store.tensors().iter().filter(|s| s.part != network.head).cloned().collect();
    let mut tensors = tensors_of(&specs);
    tensors.insert("fc.weight".into(), tensor(&[1000, 512]));
    tensors.insert("fc.bias".into(), tensor(&[1000]));
    tensors.insert("bn1.num_batches_tracked".into(), Tensor { shape: vec![], data: vec![7.0] });
    let report = load(&mut store, &network, &tensors.into()).unwrap();
    assert_eq!((report.loaded, report.head), (specs.len(), HeadLoad::Fresh { reason: FreshHead::Absent }));
    assert_eq!(report.missing, HEAD);
    assert_eq!(report.unexpected, ["fc.bias", "fc.weight"]);
    assert_eq!(store.get("fc.fc1.weight").unwrap(), vec![0.0; 16 * 512]);
}

/// A head whose every shape fits is still another head where its classes are others, or nothing says which they are.
#[test]
fn a_head_is_taken_by_class_name_never_by_shape() {
    let (network, mut store) = network(Architecture::Resnet18, 2);
    let fits = Weights::from(tensors_of(store.tensors()));
    let mut fresh = |weights: &Weights| {
        let report = load(&mut store, &network, weights).unwrap();
        assert_eq!(report.missing, HEAD);
        assert_eq!(report.unexpected, ["fc.fc1.bias", "fc.fc1.weight", "fc.fc2.bias", "fc.fc2.weight"]);
        for name in HEAD {
            assert!(store.get(name).unwrap().iter().all(|&v| v == 0.0), "{name}");
        }
        match report.head {
            HeadLoad::Fresh { reason } => reason,
            head => panic!("{head:?}"),
        }
    };
    let wanted = names(["A", "B"]);
    assert_eq!(fresh(&fits), FreshHead::Unnamed);
    for other in [&["COVID", "Normal"][..], &["A", "C"], &["A"], &["A", "B", "C"], &["A", "A"]] {
        let reason = fresh(&fits.clone().with_classes(other.to_vec()));
        let weights = other.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(reason, FreshHead::OtherClasses { weights, wanted: wanted.clone() });
    }
    let named = fits.with_classes(["B", "A"]);
    let mut narrow = named.clone();
    narrow.tensors.insert("fc.fc1.bias".into(), tensor(&[8]));
    let reason = FreshHead::Shape { name: "fc.fc1.bias".into(), found: vec![8], needed: vec![16] };
    let report = load(&mut store, &network, &narrow).unwrap();
    assert_eq!(report.head, HeadLoad::Fresh { reason });
    let mut half = named;
    half.tensors.remove("fc.fc2.weight");
    let reason = FreshHead::Incomplete { name: "fc.fc2.weight".into() };
    assert_eq!(load(&mut store, &network, &half).unwrap().head, HeadLoad::Fresh { reason });
    assert!(matches!(
        load_backbone(&mut store, &network, &half, &wanted[..1]),
        Err(WeightsError::ClassNames { classes: 2, names: 1, .. })
    ));
}

#[test]
fn classes_in_another_order_take_their_rows_along() {
    let architecture = Architecture::EfficientnetLite0;
    let (network, mut before) = network(architecture, 3);
    initialise(&mut before, &network, 5).unwrap();
    let tensors = before.tensors().to_vec().into_iter().map(|spec| {
        let data = before.get(&spec.name).unwrap();
        (spec.name, Tensor { shape: spec.shape, data })
    });
    let weights = Weights::from(tensors.collect::<Tensors>()).with_classes(["X", "Y", "Z"]);
    let mut after = Store::new(&Cpu::new(), &network.graph).unwrap();
    let report = load_backbone(&mut after, &network, &weights, &names(["Z", "X", "Y"])).unwrap();
    assert_eq!(report.head, HeadLoad::Reordered);
    assert_eq!((report.missing, report.unexpected), (vec![], vec![]));

    let pixels: Vec<f32> = (0..2 * 3 * 64 * 64).map(|i| (i * 7 % 251) as f32 / 125.0 - 1.0).collect();
    let scores = |store: &mut Store<Cpu>| scores(&network, store, &pixels);
    let (old, new) = (scores(&mut before), scores(&mut after));
    assert_eq!(old.len(), 6);
    for (old, new) in old.as_chunks::<3>().0.iter().zip(new.as_chunks::<3>().0) {
        assert!(old[0] != old[1] && old[1] != old[2]);
        for (o, n) in [old[2], old[0], old[1]].iter().zip(new) {
            assert!((o - n).abs() < 1e-6, "{old:?} {new:?}");
        }
    }
}

/// Log-probabilities of two films, a row each.
fn scores(network: &Network, store: &mut Store<Cpu>, pixels: &[f32]) -> Vec<f32> {
    let normalization = network.architecture.normalization();
    let spec = PlanSpec::inference(&network.graph, 2, 64, normalization);
    let mut plan = Plan::new(&Cpu::new(), &network.graph, spec).unwrap();
    plan.forward(store, 2, Input::Values(pixels), [0; 4]).unwrap();
    plan.output().unwrap()
}

#[test]
fn a_backbone_is_whole_or_refused() {
    let (_, small) = network(Architecture::Resnet18, 2);
    let (large, mut store) = network(Architecture::Resnet34, 2);
    assert_eq!(
        refusal(&mut store, &large, tensors_of(small.tensors())),
        "only 100 of the 180 tensors of resnet34's backbone are there; layer1.2.conv1.weight, layer1.2.bn1.weight, \
         layer1.2.bn1.bias and 77 more are missing; the weights look like resnet18"
    );
    // All convolutions but the first lost.
    let mut few = tensors_of(store.tensors());
    few.retain(|name, t| t.shape.len() != 4 || name == "conv1.weight");
    let said = refusal(&mut store, &large, few);
    assert!(
        said.starts_with("only 145 of the 180 tensors of resnet34's backbone are there; layer1.0.conv1.weight, "),
        "{said}"
    );
    let mut one = tensors_of(store.tensors());
    one.remove("bn1.running_mean");
    assert_eq!(
        refusal(&mut store, &large, one),
        "only 179 of the 180 tensors of resnet34's backbone are there; bn1.running_mean is missing"
    );
}

/// Every tensor of resnet18's backbone is among resnet34's with its shape.
#[test]
fn a_larger_backbone_is_refused() {
    let (_, large) = network(Architecture::Resnet34, 2);
    let (small, mut store) = network(Architecture::Resnet18, 2);
    assert_eq!(
        refusal(&mut store, &small, tensors_of(large.tensors())),
        "the weights' backbone has 80 tensors that resnet18's has no place for; layer1.2.bn1.bias, \
         layer1.2.bn1.running_mean, layer1.2.bn1.running_var and 77 more are among them; the weights look like resnet34"
    );
    let mut extended = tensors_of(store.tensors());
    extended.insert("layer1.0.se.fc1.weight".into(), tensor(&[4, 64]));
    let said = refusal(&mut store, &small, extended);
    let end = "layer1.0.se.fc1.weight is among them; the weights look like a ResNet of [2, 2, 2, 2] blocks with \
               squeeze-and-excitation";
    assert!(said.ends_with(end), "{said}");

    // EfficientNet-B0 has all of Lite0's tensors, and trained them beside others.
    let (lite, mut store) = network(Architecture::EfficientnetLite0, 2);
    let mut b0 = tensors_of(store.tensors());
    b0.insert("_blocks.0._se_reduce.weight".into(), tensor(&[8, 32, 1, 1]));
    let said = load(&mut store, &lite, &b0.into()).unwrap_err().to_string();
    assert!(
        said.contains("_blocks.0._se_reduce.weight is among them; the weights look like efficientnet-b0"),
        "{said}"
    );
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_set() {
    let (network18, mut store) = network(Architecture::Resnet18, 2);
    let mut tensors = tensors_of(store.tensors());
    tensors.insert("layer4.1.bn2.bias".into(), tensor(&[256]));
    assert_eq!(
        refusal(&mut store, &network18, tensors),
        "tensor layer4.1.bn2.bias has shape [256] where resnet18 needs [512]"
    );
    assert_eq!(
        refusal(&mut store, &network18, imagenet(Architecture::EfficientnetLite0).unwrap()),
        "none of the 245 tensors belongs to resnet18's backbone (the first is named _blocks.0._bn1.bias); the weights \
         look like efficientnet-lite0"
    );
    let (_, deep) = network(Architecture::Resnet50, 2);
    assert_eq!(
        refusal(&mut store, &network18, tensors_of(deep.tensors())),
        "tensor layer1.0.conv1.weight has shape [64, 64, 1, 1] where resnet18 needs [64, 64, 3, 3]; the weights look \
         like resnet50"
    );
}

/// The Lite networks have the same kinds of names: numbers of blocks and shapes tell them apart.
#[test]
fn lite_networks_are_told_apart() {
    let of = |architecture| network(architecture, 2);
    let refusal = |store: &mut Store<Cpu>, network: &Network, tensors: Tensors| {
        load(store, network, &tensors.into()).unwrap_err().to_string()
    };
    let (lite0, mut store0) = of(Architecture::EfficientnetLite0);
    let (lite1, mut store1) = of(Architecture::EfficientnetLite1);
    let (lite2, mut store2) = of(Architecture::EfficientnetLite2);
    let [tensors0, tensors1, tensors2] = [&store0, &store1, &store2].map(|store| tensors_of(store.tensors()));
    let shape = |name: &str, found: &str, needs: &str, like: &str| {
        format!("tensor {name} has shape {found} where {needs}; the weights look like {like}")
    };
    assert_eq!(
        refusal(&mut store0, &lite0, tensors1.clone()),
        shape(
            "_blocks.3._depthwise_conv.weight",
            "[144, 1, 3, 3]",
            "efficientnet-lite0 needs [144, 1, 5, 5]",
            "efficientnet-lite1"
        )
    );
    assert_eq!(
        refusal(&mut store1, &lite1, tensors2.clone()),
        shape(
            "_blocks.4._project_conv.weight",
            "[48, 144, 1, 1]",
            "efficientnet-lite1 needs [40, 144, 1, 1]",
            "efficientnet-lite2"
        )
    );
    let said = refusal(&mut store2, &lite2, tensors0);
    assert!(said.ends_with("; the weights look like efficientnet-lite0"), "{said}");
    // Its own with a block that is not there: the size alone is told.
    let mut part = tensors1;
    part.remove("_blocks.20._bn2.bias");
    let said = refusal(&mut store2, &lite2, part);
    assert!(said.ends_with("; the weights look like an EfficientNet-Lite of 21 blocks"), "{said}");
    let report = load(&mut store2, &lite2, &tensors2.into()).unwrap();
    assert_eq!(report.loaded, 320);
}

/// Names and shapes as torchvision, timm and efficientnet_pytorch have them.
#[test]
fn well_known_networks_are_named() {
    let (network18, mut store) = network(Architecture::Resnet18, 2);
    let mut looks = |tensors: &[(&str, &[usize])]| {
        let tensors = tensors.iter().map(|(name, shape)| ((*name).to_owned(), tensor(shape)));
        let said = refusal(&mut store, &network18, tensors.collect());
        said.rsplit_once("; the weights look like ").map(|(_, like)| like.to_owned()).unwrap_or(said)
    };
    let dense: Vec<(String, &[usize])> = [6, 12, 24, 16]
        .into_iter()
        .enumerate()
        .flat_map(|(b, layers)| (1..=layers).map(move |l| (b + 1, l)))
        .map(|(b, l)| (format!("features.denseblock{b}.denselayer{l}.conv1.weight"), &[128, 64, 1, 1][..]))
        .collect();
    let dense: Vec<(&str, &[usize])> = dense.iter().map(|(name, shape)| (name.as_str(), *shape)).collect();
    assert_eq!(looks(&dense), "densenet121");
    let vgg: Vec<(String, &[usize])> = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
        .into_iter()
        .map(|n| (format!("features.{n}.weight"), &[64, 3, 3, 3][..]))
        .chain([("classifier.6.weight".to_owned(), &[1000, 8][..])])
        .collect();
    let vgg: Vec<(&str, &[usize])> = vgg.iter().map(|(name, shape)| (name.as_str(), *shape)).collect();
    assert_eq!(looks(&vgg), "vgg16");
    assert_eq!(looks(&[("features.0.weight", &[64, 3, 11, 11])]), "alexnet");
    assert_eq!(looks(&[("blocks.0.attn.qkv.weight", &[6, 2])]), "a vision transformer");
    let encoder = "encoder.layers.encoder_layer_0.self_attention.in_proj_weight";
    assert_eq!(looks(&[(encoder, &[6, 2])]), "a vision transformer");
    assert_eq!(looks(&[("Mixed_5b.branch1x1.conv.weight", &[64, 192, 1, 1])]), "inception_v3");
    let b0 = (0..16).map(|n| format!("_blocks.{n}._se_reduce.weight")).collect::<Vec<_>>();
    let mut b0: Vec<(&str, &[usize])> = b0.iter().map(|name| (name.as_str(), &[8, 32, 1, 1][..])).collect();
    b0.push(("_conv_head.weight", &[1280, 320, 1, 1]));
    assert_eq!(looks(&b0), "efficientnet-b0, which has squeeze-and-excitation");
    assert!(looks(&[("weird", &[2])]).ends_with("(the first is named weird)"));

    // Deeper and wider ResNets share names, and are told by their blocks and groups.
    let deep = |blocks: [usize; 4], width: usize, inner: usize| {
        let mut tensors = vec![("layer1.0.conv2.weight".to_owned(), vec![width, inner, 3, 3])];
        for (layer, blocks) in blocks.into_iter().enumerate() {
            for block in 0..blocks {
                tensors.push((format!("layer{}.{block}.conv1.weight", layer + 1), vec![width, 64, 1, 1]));
                tensors.push((format!("layer{}.{block}.conv3.weight", layer + 1), vec![256, width, 1, 1]));
            }
        }
        tensors
    };
    for (tensors, name) in [
        (deep([3, 4, 23, 3], 64, 64), "resnet101"),
        (deep([3, 8, 36, 3], 64, 64), "resnet152"),
        (deep([3, 4, 6, 3], 128, 4), "resnext50_32x4d"),
        (deep([3, 4, 23, 3], 256, 8), "resnext101_32x8d"),
        (deep([3, 4, 6, 3], 128, 128), "wide_resnet50_2"),
    ] {
        let tensors: Vec<(&str, &[usize])> = tensors.iter().map(|(n, s)| (n.as_str(), s.as_slice())).collect();
        assert_eq!(looks(&tensors), name);
    }
}

#[test]
fn shipped_weights_fill_the_backbone() {
    let (network, mut store) = network(Architecture::EfficientnetLite0, 2);
    let weights = Weights::from(imagenet(Architecture::EfficientnetLite0).unwrap());
    let report = load(&mut store, &network, &weights).unwrap();
    assert_eq!(report.missing, ["_fc.fc1.weight", "_fc.fc1.bias", "_fc.fc2.weight", "_fc.fc2.bias"]);
    assert_eq!((report.loaded, report.unexpected.len()), (245, 0));
    assert!(weights.tensors.values().all(|t| t.data.iter().all(|v| v.is_finite())));
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
    // The graph alone is enough.
    lungfish_engine::initialise(&mut b, &other.graph, 7).unwrap();
    assert_eq!(get(&a, "_conv_stem.weight"), get(&b, "_conv_stem.weight"));
    initialise(&mut b, &other, 8).unwrap();
    assert_ne!(get(&a, "_conv_stem.weight"), get(&b, "_conv_stem.weight"));
}
