//! Backbones under the names that others give them: behind prefixes, several in a file, by places instead of names, and with a
//! first convolution of one channel.

use lungfish_engine::{Cpu, Store, TensorSpec};
use lungfish_models::{
    Architecture, FreshHead, HeadConfig, HeadLoad, LoadReport, Network, Tensor, Tensors, Weights, WeightsError,
    load_backbone,
};

fn network(architecture: Architecture) -> (Network, Store<Cpu>) {
    let network = Network::new(architecture, 2, &HeadConfig { hidden: 8, ..HeadConfig::default() }).unwrap();
    let store = Store::new(&Cpu::new(), &network.graph).unwrap();
    (network, store)
}

/// The backbone's tensors and, where it is asked for, the head's, each with a number of its own plus `more` in all elements.
fn tensors(network: &Network, store: &Store<Cpu>, with_head: bool, more: f32) -> Tensors {
    let wanted = |spec: &&TensorSpec| with_head || spec.part != network.head;
    let tensor = |(place, spec): (usize, &TensorSpec)| {
        let data = vec![place as f32 + more; spec.len()];
        (spec.name.clone(), Tensor { shape: spec.shape.clone(), data })
    };
    store.tensors().iter().filter(wanted).enumerate().map(tensor).collect()
}

fn under(prefix: &str, tensors: Tensors) -> Tensors {
    tensors.into_iter().map(|(name, tensor)| (format!("{prefix}{name}"), tensor)).collect()
}

fn load(store: &mut Store<Cpu>, network: &Network, weights: &Weights) -> Result<LoadReport, WeightsError> {
    load_backbone(store, network, weights, &["A".to_owned(), "B".to_owned()])
}

/// Which of several files' numbers were loaded: what was added to all of them.
fn loaded(store: &Store<Cpu>, network: &Network) -> f32 {
    let backbone = store.tensors().iter().filter(|spec| spec.part != network.head).enumerate();
    let added: Vec<f32> = backbone.map(|(place, spec)| store.get(&spec.name).unwrap()[0] - place as f32).collect();
    assert!(added.iter().all(|more| *more == added[0]), "{added:?}");
    added[0]
}

#[test]
fn any_prefix_of_any_network_is_found() {
    let prefixes = [
        "",
        "module.",
        "_orig_mod.",
        "model.module._orig_mod.",
        "state_dict.model.backbone.",
        "student.backbone.",
        "ema_state_dict.",
        "weights.",
        "network.0.encoder.",
        "Réseau 1.",
    ];
    for architecture in Architecture::ALL {
        let (network, mut store) = network(architecture);
        let own = tensors(&network, &store, false, 0.5);
        for prefix in prefixes {
            let mut file = under(prefix, own.clone());
            file.insert(format!("{prefix}projector.weight"), Tensor { shape: vec![1], data: vec![0.0] });
            file.insert("zz.queue".to_owned(), Tensor { shape: vec![1], data: vec![0.0] });
            let report =
                load(&mut store, &network, &file.into()).unwrap_or_else(|e| panic!("{architecture} {prefix}: {e}"));
            assert_eq!((report.loaded, report.place.prefix.as_str()), (own.len(), prefix), "{architecture}");
            assert!(report.place.others.is_empty() && !report.place.positional && !report.place.one_channel);
            assert_eq!(report.unexpected, ["projector.weight", "zz.queue"], "{architecture} {prefix}");
            assert_eq!(loaded(&store, &network), 0.5);
        }
    }
}

#[test]
fn a_head_under_the_same_prefix_comes_along() {
    let (network, mut store) = network(Architecture::Resnet18);
    let all = tensors(&network, &store, true, 0.0);
    let weights = Weights::from(under("model.", all)).with_classes(["B", "A"]);
    let report = load(&mut store, &network, &weights).unwrap();
    assert_eq!((report.head, report.missing.len()), (HeadLoad::Reordered, 0));
    // Elsewhere it is another network's.
    let own = under("model.", tensors(&network, &store, false, 0.0));
    let head = tensors(&network, &store, true, 0.0).into_iter().filter(|(name, _)| name.starts_with("fc."));
    let weights = Weights::from(own.into_iter().chain(head).collect::<Tensors>()).with_classes(["B", "A"]);
    assert_eq!(load(&mut store, &network, &weights).unwrap().head, HeadLoad::Fresh { reason: FreshHead::Absent });
}

#[test]
fn of_several_the_one_that_is_meant_to_be_used_is_taken() {
    let (network, mut store) = network(Architecture::EfficientnetLite0);
    // The one that is taken, and the one that is not.
    let pairs = [
        ("", "ema."),
        ("state_dict.module.encoder_q.", "state_dict.module.encoder_k."),
        ("model.encoder_q.", "encoder_k."),
        ("teacher.backbone.", "student.module.backbone."),
        ("online_encoder.net.", "target_encoder.net."),
        ("backbone.", "backbone_momentum."),
        ("backbone.", "momentum_backbone."),
        ("state_dict.", "state_dict_ema."),
        ("model.", "model_ema.module."),
        ("model.", "EMA."),
        ("module.", "averaged.module."),
    ];
    for (taken, left) in pairs {
        let mut file = under(left, tensors(&network, &store, false, 0.25));
        file.extend(under(taken, tensors(&network, &store, false, 0.5)));
        let report = load(&mut store, &network, &file.into()).unwrap_or_else(|e| panic!("{taken} {left}: {e}"));
        assert_eq!((report.place.prefix.as_str(), report.place.others), (taken, vec![left.to_owned()]));
        assert_eq!((loaded(&store, &network), report.unexpected.len()), (0.5, 0), "{taken} {left}");
    }
    // The lesser one alone is taken as any.
    let file = under("encoder_k.", tensors(&network, &store, false, 0.25));
    assert_eq!(load(&mut store, &network, &file.into()).unwrap().place.prefix, "encoder_k.");
}

#[test]
fn several_that_nothing_tells_apart_are_refused_by_name() {
    let (network, mut store) = network(Architecture::Resnet18);
    let two = |left: f32, right: f32| {
        let mut file = under("left.", tensors(&network, &store, false, left));
        file.extend(under("net.right.", tensors(&network, &store, false, right)));
        Weights::from(file)
    };
    let (other, same) = (two(0.25, 0.5), two(0.25, 0.25));
    assert_eq!(
        load(&mut store, &network, &other).unwrap_err().to_string(),
        "resnet18's backbone is in it 2 times, under left. and net.right., and nothing says which is meant: save one of them alone"
    );
    // One module that lies in two places is one, wherever its head is.
    let report = load(&mut store, &network, &same).unwrap();
    assert_eq!((report.place.prefix.as_str(), report.place.others.len(), report.unexpected.len()), ("left.", 0, 0));
    let head = tensors(&network, &store, true, 0.0).into_iter().filter(|(name, _)| name.starts_with("fc."));
    let mut same = same.with_classes(["A", "B"]);
    same.tensors.extend(under("net.right.", head.collect()));
    let report = load(&mut store, &network, &same).unwrap();
    assert_eq!((report.head, report.unexpected.len()), (HeadLoad::Taken, 0));
}

#[test]
fn no_part_of_a_backbone_is_taken_under_any_prefix() {
    let (network, mut store) = network(Architecture::Resnet18);
    let mut file = under("a.b.", tensors(&network, &store, false, 0.0));
    file.remove("a.b.bn1.running_mean");
    assert_eq!(
        load(&mut store, &network, &file.clone().into()).unwrap_err().to_string(),
        "only 99 of the 100 tensors of resnet18's backbone are there; a.b.bn1.running_mean is missing"
    );
    // Nor is what is missing taken from elsewhere.
    file.insert("bn1.running_mean".to_owned(), Tensor { shape: vec![64], data: vec![0.0; 64] });
    file.insert("c.bn1.running_mean".to_owned(), Tensor { shape: vec![64], data: vec![0.0; 64] });
    assert!(matches!(load(&mut store, &network, &file.into()), Err(WeightsError::Incomplete { .. })));
    let large = Network::new(Architecture::Resnet34, 2, &HeadConfig::default()).unwrap();
    let of_large = Store::new(&Cpu::new(), &large.graph).unwrap();
    let file = under("encoder.", tensors(&large, &of_large, false, 0.0));
    let said = load(&mut store, &network, &file.into()).unwrap_err().to_string();
    let expected = "the weights' backbone has 80 tensors that resnet18's has no place for; encoder.layer1.2.bn1.bias";
    assert!(said.starts_with(expected) && said.ends_with("the weights look like resnet34"), "{said}");
    let mut file = under("encoder.", tensors(&network, &store, false, 0.0));
    file.insert("encoder.bn1.bias".to_owned(), Tensor { shape: vec![64], data: vec![f32::NAN; 64] });
    let said = load(&mut store, &network, &file.into()).unwrap_err().to_string();
    assert_eq!(said, "tensor encoder.bn1.bias has values that are not finite");
    assert_eq!(store.get("conv1.weight").unwrap(), vec![0.0; 64 * 3 * 49], "nothing is set");
}

/// The names in `Sequential(*list(resnet.children())[:-2])`.
fn by_places(tensors: Tensors) -> Tensors {
    let place = |module: &str| match module {
        "conv1" => 0,
        "bn1" => 1,
        layer => layer.strip_prefix("layer").unwrap().parse::<usize>().unwrap() + 3,
    };
    let named = |name: &str| {
        let (module, rest) = name.split_once('.').unwrap();
        format!("{}.{rest}", place(module))
    };
    tensors.into_iter().map(|(name, tensor)| (named(&name), tensor)).collect()
}

#[test]
fn modules_called_by_their_places_are_taken_in_order() {
    for architecture in [Architecture::Resnet18, Architecture::Resnet34, Architecture::Resnet50] {
        let (network, mut store) = network(architecture);
        let body = by_places(tensors(&network, &store, false, 0.5));
        assert!(body.contains_key("0.weight") && body.contains_key("7.0.downsample.1.running_var"));
        for prefix in ["", "0.", "model.0.", "features.", "state_dict.model.encoder."] {
            let mut file = under(prefix, body.clone());
            // fastai's head, or a part of one that has a place like one of the backbone's.
            file.insert("model.1.2.weight".to_owned(), Tensor { shape: vec![1024], data: vec![0.0; 1024] });
            let report =
                load(&mut store, &network, &file.into()).unwrap_or_else(|e| panic!("{architecture} {prefix}: {e}"));
            assert_eq!((report.place.positional, report.place.prefix.as_str()), (true, prefix));
            assert_eq!((report.loaded, loaded(&store, &network)), (body.len(), 0.5));
            assert_eq!(report.head, HeadLoad::Fresh { reason: FreshHead::Absent });
            assert_eq!(report.unexpected, ["model.1.2.weight"]);
        }
    }
    let (small, mut store) = network(Architecture::Resnet18);
    let of = |architecture| {
        let (network, store) = network(architecture);
        Weights::from(under("0.", by_places(tensors(&network, &store, false, 0.0))))
    };
    let said = load(&mut store, &small, &of(Architecture::Resnet34)).unwrap_err().to_string();
    assert!(said.contains("0.4.2.bn1.bias") && said.ends_with("the weights look like resnet34"), "{said}");
    let said = load(&mut store, &small, &of(Architecture::Resnet50)).unwrap_err().to_string();
    assert!(said.contains("tensor 0.4.0.conv1.weight has shape") && said.ends_with("look like resnet50"), "{said}");
    // The Lite networks are no nn.Sequential, and a few numbers are none of theirs.
    let (lite, mut store) = network(Architecture::EfficientnetLite0);
    assert!(matches!(load(&mut store, &lite, &of(Architecture::Resnet18)), Err(WeightsError::WrongNetwork { .. })));
}

#[test]
fn a_first_convolution_of_one_channel_is_three_thirds() {
    for (architecture, name) in
        [(Architecture::Resnet34, "conv1.weight"), (Architecture::EfficientnetLite2, "_conv_stem.weight")]
    {
        let (network, mut store) = network(architecture);
        let mut file = tensors(&network, &store, false, 0.0);
        let [filters, _, height, width] = file[name].shape[..] else { panic!("{name}") };
        let plane = height * width;
        let data: Vec<f32> = (0..filters * plane).map(|i| i as f32 * 3.0).collect();
        file.insert(name.to_owned(), Tensor { shape: vec![filters, 1, height, width], data });
        let report = load(&mut store, &network, &under("net.", file.clone()).into()).unwrap();
        assert!(report.place.one_channel);
        let got = store.get(name).unwrap();
        for (i, value) in got.iter().enumerate() {
            let (filter, at) = (i / (3 * plane), i % plane);
            assert_eq!(*value, (filter * plane + at) as f32, "{i}");
        }
        // Two channels are of nobody knows what, and no other convolution may differ.
        file.insert(
            name.to_owned(),
            Tensor { shape: vec![filters, 2, height, width], data: vec![0.0; filters * 2 * plane] },
        );
        assert!(matches!(load(&mut store, &network, &file.into()), Err(WeightsError::Shape { .. })));
    }
}

#[test]
fn weights_of_others_are_recognised_behind_a_prefix() {
    let (network, mut store) = network(Architecture::Resnet18);
    let mut looks = |tensors: Vec<(String, Vec<usize>)>| {
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let data = vec![0.0; shape.iter().product()];
            (format!("state_dict.module.{name}"), Tensor { shape, data })
        };
        let file: Tensors = tensors.into_iter().map(tensor).collect();
        let said = load(&mut store, &network, &file.into()).unwrap_err().to_string();
        said.rsplit_once("; the weights look like ").map(|(_, like)| like.to_owned()).unwrap_or(said)
    };
    let mut dense = vec![("features.conv0.weight".to_owned(), vec![64, 3, 7, 7])];
    for (block, layers) in [6, 12, 32, 32].into_iter().enumerate() {
        dense.extend(
            (1..=layers).map(|l| (format!("features.denseblock{}.denselayer{l}.conv1.weight", block + 1), vec![1])),
        );
    }
    assert_eq!(looks(dense), "densenet169");
    assert_eq!(looks(vec![("features.0.weight".to_owned(), vec![64, 3, 11, 11])]), "alexnet");
}
