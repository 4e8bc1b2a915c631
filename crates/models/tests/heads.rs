//! Whole networks of others: their heads as ours, and what cannot be one. golden/models/imported.py has PyTorch's numbers.

use lungfish_models::{
    Architecture, ForeignHead, HeadConfig, Network, Tensor, Tensors, Weights, WholeNetwork, whole_network,
};

fn tensor(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor { shape: shape.to_vec(), data: (0..n).map(|i| (i * 7 % 23) as f32 / 8.0 - 1.0).collect() }
}

/// A backbone of the architecture under a prefix, and further tensors.
fn weights(architecture: Architecture, prefix: &str, more: &[(&str, &[usize])]) -> Weights {
    let network = Network::new(architecture, 2, &HeadConfig::default()).unwrap();
    let specs = network.graph.params().iter().chain(network.graph.buffers()).filter(|spec| spec.part != network.head);
    let mut tensors: Tensors = specs.map(|spec| (format!("{prefix}{}", spec.name), tensor(&spec.shape))).collect();
    tensors.extend(more.iter().map(|(name, shape)| ((*name).to_owned(), tensor(shape))));
    tensors.into()
}

fn resnet(more: &[(&str, &[usize])]) -> Weights {
    weights(Architecture::Resnet18, "", more)
}

fn refusal(weights: &Weights) -> String {
    whole_network(weights, None, true).unwrap_err().to_string()
}

/// What our head makes of features, in single floats, in running order.
fn ours(whole: &WholeNetwork, features: &[f32]) -> Vec<f32> {
    let layer = |name: &str, x: &[f32]| -> Vec<f32> {
        let (weight, bias) = (&whole.tensors[&format!("{name}.weight")], &whole.tensors[&format!("{name}.bias")]);
        let rows = weight.data.chunks_exact(x.len()).zip(&bias.data);
        rows.map(|(row, b)| row.iter().zip(x).map(|(w, v)| w * v).sum::<f32>() + b).collect()
    };
    let fc = if whole.tensors.contains_key("fc.fc1.weight") { "fc" } else { "_fc" };
    let hidden: Vec<f32> = layer(&format!("{fc}.fc1"), features).iter().map(|v| v.max(0.0)).collect();
    layer(&format!("{fc}.fc2"), &hidden)
}

/// A linear layer by hand, in the same order of additions.
fn linear(weights: &Weights, name: &str, x: &[f32]) -> Vec<f32> {
    let weight = &weights.tensors[&format!("{name}.weight")];
    let bias = weights.tensors.get(&format!("{name}.bias")).map_or(vec![0.0; weight.shape[0]], |t| t.data.clone());
    let rows = weight.data.chunks_exact(x.len()).zip(bias);
    rows.map(|(row, b)| row.iter().zip(x).map(|(w, v)| w * v).sum::<f32>() + b).collect()
}

fn features(architecture: Architecture) -> Vec<f32> {
    (0..architecture.features()).map(|i| (i * 5 % 17) as f32 / 4.0).collect()
}

#[test]
fn one_linear_layer_is_expressed_to_the_bit() {
    let x = features(Architecture::Resnet18);
    for (name, bias) in [("fc", true), ("fc", false), ("classifier.1", true), ("head.linear", true)] {
        let (weight, shift) = (format!("{name}.weight"), format!("{name}.bias"));
        let mut more: Vec<(&str, &[usize])> = vec![(&weight, &[3, 512])];
        more.extend(bias.then_some((shift.as_str(), &[3][..])));
        let file = resnet(&more);
        let whole = whole_network(&file, None, true).unwrap();
        assert_eq!((whole.architecture, whole.hidden, whole.outputs), (Architecture::Resnet18, 6, 3));
        assert_eq!(whole.head, ForeignHead::One { layer: name.to_owned(), single: false });
        assert_eq!(ours(&whole, &x), linear(&file, name, &x));
        assert_eq!(whole.tensors["layer3.1.bn2.bias"], file.tensors["layer3.1.bn2.bias"]);
        assert_eq!(whole.tensors.len(), 100 + 4);
    }
}

#[test]
fn two_linear_layers_are_taken_as_they_are_whatever_they_are_called() {
    let x = features(Architecture::EfficientnetLite0);
    for (first, second) in [
        ("_fc.fc1", "_fc.fc2"),
        ("fc.0", "fc.2"),
        ("fc.0", "fc.3"),
        ("classifier.1", "classifier.10"),
        ("net.z", "net.a"),
    ] {
        let names = [first, second].map(|name| [format!("{name}.weight"), format!("{name}.bias")]);
        let more: [(&str, &[usize]); 4] =
            [(&names[0][0], &[32, 1280]), (&names[0][1], &[32]), (&names[1][0], &[2, 32]), (&names[1][1], &[2])];
        let file = weights(Architecture::EfficientnetLite0, "model.", &more);
        let whole = whole_network(&file, None, true).unwrap();
        assert_eq!((whole.architecture, whole.hidden, whole.outputs), (Architecture::EfficientnetLite0, 32, 2));
        let head = ForeignHead::Two { first: first.to_owned(), second: second.to_owned(), single: false };
        assert_eq!(whole.head, head);
        let hidden: Vec<f32> = linear(&file, first, &x).iter().map(|v| v.max(0.0)).collect();
        assert_eq!(ours(&whole, &x), linear(&file, second, &hidden));
    }
}

#[test]
fn a_single_output_is_the_second_class_against_the_first() {
    let x = features(Architecture::Resnet18);
    let one = resnet(&[("fc.weight", &[1, 512]), ("fc.bias", &[1])]);
    let whole = whole_network(&one, None, true).unwrap();
    assert_eq!((whole.outputs, &whole.head), (2, &ForeignHead::One { layer: "fc".to_owned(), single: true }));
    assert_eq!(ours(&whole, &x), [0.0, linear(&one, "fc", &x)[0]]);
    let two = resnet(&[("fc.0.weight", &[8, 512]), ("fc.0.bias", &[8]), ("fc.2.weight", &[1, 8]), ("fc.2.bias", &[1])]);
    let whole = whole_network(&two, None, true).unwrap();
    let hidden: Vec<f32> = linear(&two, "fc.0", &x).iter().map(|v| v.max(0.0)).collect();
    assert_eq!((whole.outputs, ours(&whole, &x)), (2, vec![0.0, linear(&two, "fc.2", &hidden)[0]]));
    // Of labels it is one label's.
    let label = whole_network(&one, None, false).unwrap();
    assert_eq!((label.outputs, ours(&label, &x)), (1, linear(&one, "fc", &x)));
}

#[test]
fn every_network_is_recognised_and_what_is_none_is_named() {
    for architecture in Architecture::ALL {
        let features = architecture.features();
        let file = weights(architecture, "a.b.", &[("a.c.weight", &[2, features])]);
        assert_eq!(whole_network(&file, None, true).unwrap().architecture, architecture);
        let other = Architecture::ALL.into_iter().find(|other| *other != architecture);
        let said = whole_network(&file, other, true).unwrap_err().to_string();
        assert!(said.contains(&format!("look like {architecture}")), "{said}");
        let mut part = file;
        let first = part.tensors.keys().find(|name| name.starts_with("a.b.")).unwrap().clone();
        part.tensors.remove(&first);
        let said = refusal(&part);
        let own = format!("of {architecture}'s backbone are there; {first} is missing");
        assert!(said.contains(&own) || said.contains("look like an EfficientNet-Lite of"), "{said}");
    }
    let vgg: Tensors = [("features.0.weight".to_owned(), tensor(&[64, 3, 11, 11]))].into();
    assert_eq!(
        refusal(&vgg.into()),
        "none of the networks here (resnet18, resnet34, resnet50, efficientnet-lite0, efficientnet-lite1, efficientnet-lite2) is in \
         it; the weights look like alexnet"
    );
}

#[test]
fn heads_that_ours_is_not_are_refused_by_name() {
    let head = |more: &[(&str, &[usize])]| {
        let said = refusal(&resnet(more));
        said.strip_prefix("its head cannot be taken over: ").unwrap_or(&said).to_owned()
    };
    assert_eq!(head(&[]), "there is none: no linear layer lies beside the backbone");
    assert_eq!(
        head(&[("fc.weight", &[2, 512]), ("fc.bn.weight", &[2])]),
        "tensor fc.bn.weight of shape [2] has no place in one of one linear layer, or of two with a ReLU between"
    );
    assert!(
        head(&[("fc.weight", &[2, 512, 1, 1])]).starts_with("tensor fc.weight of shape [2, 512, 1, 1] has no place")
    );
    assert!(head(&[("fc.weight", &[2, 512]), ("fc.bias", &[3])]).starts_with("tensor fc.bias of shape [3]"));
    assert_eq!(head(&[("fc.weight", &[2, 1024])]), "fc (1024 to 2) does not take the 512 features of the backbone");
    let three: [(&str, &[usize]); 3] = [("fc.0.weight", &[8, 512]), ("fc.2.weight", &[4, 8]), ("fc.4.weight", &[2, 4])];
    assert_eq!(
        head(&three),
        "the linear layers fc.0 (512 to 8), fc.2 (8 to 4), fc.4 (4 to 2) are not one that takes the 512 features of the backbone, or \
         two of which the second takes what the first one gives"
    );
    assert_eq!(
        head(&[("fc.0.weight", &[8, 512]), ("fc.1.weight", &[2, 8])]),
        "nothing lies between its linear layers fc.0 and fc.1, where ours has a ReLU"
    );
    assert_eq!(
        head(&[("fc.weight", &[1000, 512]), ("classifier.0.weight", &[2, 1000])]),
        "its linear layers fc and classifier.0 lie in different modules, and nothing says that a ReLU is between them"
    );
    let mut infinite = resnet(&[("fc.weight", &[2, 512])]);
    infinite.tensors.get_mut("fc.weight").unwrap().data[3] = f32::INFINITY;
    assert!(refusal(&infinite).ends_with("has values that are not finite"));
}

#[test]
fn a_loss_and_a_copy_are_no_part_of_the_head() {
    let file = weights(
        Architecture::Resnet18,
        "model.",
        &[("model.fc.weight", &[2, 512]), ("criterion.weight", &[2]), ("train_loss.pos_weight", &[1])],
    );
    let whole = whole_network(&file, None, true).unwrap();
    assert_eq!(whole.left_aside, ["criterion.weight", "train_loss.pos_weight"]);
    // The backbone once more, as a part of another module of the same training.
    let mut twice = file;
    let copy: Vec<(String, Tensor)> = twice
        .tensors
        .iter()
        .filter(|(name, _)| name.starts_with("model.") && !name.contains(".fc."))
        .map(|(name, tensor)| (name.replacen("model.", "encoder.", 1), tensor.clone()))
        .collect();
    twice.tensors.extend(copy);
    let again = whole_network(&twice, None, true).unwrap();
    assert_eq!((again.hidden, again.tensors.len()), (4, 104));
}
