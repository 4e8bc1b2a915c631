//! Names, shapes and counts of every tensor, against torchvision's and
//! efficientnet_lite_pytorch's own state dicts (golden/models/shapes.py).

use lungfish_engine::{PartId, TensorSpec};
use lungfish_models::{Architecture, HeadConfig, Network, Output};
use serde_json::Value;

fn listing() -> Value {
    serde_json::from_str(include_str!("../../../golden/models/state_dict_shapes.json")).unwrap()
}

fn backbone(network: &Network, specs: &[TensorSpec]) -> Vec<(String, Vec<usize>)> {
    specs.iter().filter(|s| s.part != network.head).map(|s| (s.name.clone(), s.shape.clone())).collect()
}

fn original(listing: &Value, architecture: Architecture, side: &str) -> Vec<(String, Vec<usize>)> {
    listing[architecture.name()][side]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| !name.starts_with("fc.") && !name.starts_with("_fc."))
        .map(|(name, shape)| {
            (name.clone(), shape.as_array().unwrap().iter().map(|d| d.as_u64().unwrap() as usize).collect())
        })
        .collect()
}

#[test]
fn backbone_tensors_are_the_originals_in_their_order() {
    let listing = listing();
    for architecture in Architecture::ALL {
        let network = Network::new(architecture, 2, &HeadConfig::default()).unwrap();
        let params = original(&listing, architecture, "params");
        assert!(params.len() > 50, "{architecture}: the listing is empty");
        assert_eq!(backbone(&network, network.graph.params()), params, "{architecture}");
        let buffers = original(&listing, architecture, "buffers");
        assert_eq!(backbone(&network, network.graph.buffers()), buffers, "{architecture}");
    }
}

#[test]
fn learned_scalars_as_torchvision_counts_them() {
    // What torchvision documents for its 1000-class networks (`num_params`), and PyTorch counts of the others.
    for (architecture, total) in [
        (Architecture::Resnet18, 11_689_512),
        (Architecture::Resnet34, 21_797_672),
        (Architecture::Resnet50, 25_557_032),
        (Architecture::EfficientnetLite0, 4_652_008),
        (Architecture::EfficientnetLite1, 5_416_680),
        (Architecture::EfficientnetLite2, 6_092_072),
    ] {
        let network = Network::new(architecture, 2, &HeadConfig::default()).unwrap();
        let parts = network.parts_by_names("all").unwrap();
        let head = network.graph.param_count(&[network.head]);
        let classifier = architecture.features() * 1000 + 1000;
        assert_eq!(network.graph.param_count(&parts) - head + classifier, total, "{architecture}");
    }
}

#[test]
fn head_of_the_notebook() {
    let network = Network::new(Architecture::Resnet34, 2, &HeadConfig::default()).unwrap();
    assert_eq!(network.graph.param_count(&[network.head]), 131_842);
    let head: Vec<(&str, &[usize])> = network
        .graph
        .params()
        .iter()
        .filter(|p| p.part == network.head)
        .map(|p| (p.name.as_str(), p.shape.as_slice()))
        .collect();
    assert_eq!(
        head,
        [
            ("fc.fc1.weight", [256, 512].as_slice()),
            ("fc.fc1.bias", &[256]),
            ("fc.fc2.weight", &[2, 256]),
            ("fc.fc2.bias", &[2])
        ]
    );
    let lite = Network::new(
        Architecture::EfficientnetLite0,
        3,
        &HeadConfig { hidden: 64, dropout: 0.25, ..HeadConfig::default() },
    )
    .unwrap();
    let names: Vec<&str> = lite.graph.nodes().iter().filter(|n| n.part == lite.head).map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["_fc.dropout", "_fc.fc1", "_fc.relu", "_fc.fc2", "_fc.output"]);
    assert_eq!(lite.graph.params().last().unwrap().shape, [3]);
}

#[test]
fn a_head_gives_logits_where_it_is_asked_to() {
    let head = HeadConfig { output: Output::Logits, ..HeadConfig::default() };
    let network = Network::new(Architecture::Resnet18, 14, &head).unwrap();
    assert_eq!(Some(network.graph.output()), network.tap("logits"));
    assert_eq!(network.graph.writer(network.graph.output()).unwrap().name, "fc.fc2");
    assert_eq!(network.graph.channels(network.graph.output()), 14);
    let usual = Network::new(Architecture::Resnet18, 14, &HeadConfig::default()).unwrap();
    assert_eq!(usual.graph.writer(usual.graph.output()).unwrap().name, "fc.output");
    // The same tensors: one's weights are the other's.
    assert_eq!(network.graph.params(), usual.graph.params());
}

#[test]
fn a_head_that_cannot_be_is_refused() {
    let says = |classes, hidden, dropout| {
        let head = HeadConfig { hidden, dropout, ..HeadConfig::default() };
        Network::new(Architecture::Resnet18, classes, &head).unwrap_err().to_string()
    };
    assert_eq!(says(0, 256, 0.0), "fc.fc2: it gives 0 channels");
    assert_eq!(says(2, 0, 0.0), "fc.fc1: it gives 0 channels");
    assert_eq!(says(2, 256, 1.0), "fc.dropout: a ratio of 1 is no probability from 0 to less than 1");
    assert_eq!(says(2, 256, f32::NAN), "fc.dropout: a ratio of NaN is no probability from 0 to less than 1");
    assert!(says(2, usize::MAX, 0.0).ends_with(" is too large"));
}

#[test]
fn parts_and_taps() {
    let resnet = Network::new(Architecture::Resnet50, 2, &HeadConfig::default()).unwrap();
    assert_eq!(resnet.graph.parts(), ["stem", "layer1", "layer2", "layer3", "layer4", "head"]);
    let taps: Vec<&str> = resnet.taps.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(taps, ["stem", "layer1", "layer2", "layer3", "layer4", "pool", "logits"]);
    let lite = Network::new(Architecture::EfficientnetLite0, 2, &HeadConfig::default()).unwrap();
    assert_eq!(
        lite.graph.parts(),
        ["stem", "stage1", "stage2", "stage3", "stage4", "stage5", "stage6", "stage7", "top", "head"]
    );
    for network in [&resnet, &lite] {
        let pool = network.tap("pool").unwrap();
        assert_eq!(network.graph.channels(pool), network.architecture.features());
        // A frozen backbone ends with pooled vectors.
        assert_eq!(
            network.graph.writer(pool).unwrap().part,
            network.parts_by_names("all").unwrap().iter().rev().nth(1).copied().unwrap()
        );
        assert_eq!(network.graph.channels(network.tap("logits").unwrap()), 2);
        assert_eq!(network.tap("nothing"), None);
    }
}

#[test]
fn parts_by_names_keeps_order_and_adds_the_head() {
    let network = Network::new(Architecture::Resnet18, 2, &HeadConfig::default()).unwrap();
    let names = |list: &str| -> Vec<String> {
        let parts: Vec<PartId> = network.parts_by_names(list).unwrap();
        parts.iter().map(|&p| network.graph.part_name(p).to_owned()).collect()
    };
    assert_eq!(names("head"), ["head"]);
    assert_eq!(names("layer4,layer1,layer4"), ["layer1", "layer4", "head"]);
    assert_eq!(names("all").len(), 6);
    let error = network.parts_by_names("layer4,layer5").unwrap_err().to_string();
    assert_eq!(error, "no part named \"layer5\" in resnet18; it has stem, layer1, layer2, layer3, layer4, head");
    assert!(network.parts_by_names("").is_err() && network.parts_by_names("all,layr4").is_err());
    let meant = network.part("layr4").unwrap_err().to_string();
    assert!(meant.starts_with("no part named \"layr4\" (did you mean layer4?) in resnet18; "), "{meant}");
}

#[test]
fn architectures_by_name() {
    for architecture in Architecture::ALL {
        assert_eq!(architecture.name().parse::<Architecture>().unwrap(), architecture);
        assert_eq!(serde_json::to_value(architecture).unwrap(), Value::from(architecture.name()));
    }
    assert_eq!(
        "resnet101".parse::<Architecture>().unwrap_err().to_string(),
        "no architecture named \"resnet101\" (did you mean resnet18 or resnet50?); there are resnet18, resnet34, resnet50, efficientnet-lite0, \
         efficientnet-lite1, efficientnet-lite2"
    );
}
