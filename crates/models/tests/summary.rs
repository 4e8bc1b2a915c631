//! What a summary says, against torchinfo (golden/models/summary.py).

use std::collections::BTreeMap;

use lungfish_models::{Architecture, HeadConfig, Network, Summary};
use serde_json::Value;

fn network(architecture: Architecture) -> Network {
    Network::new(architecture, 2, &HeadConfig::default()).unwrap()
}

#[test]
fn totals_and_layers_are_torchinfos() {
    let golden: Value = serde_json::from_str(include_str!("../../../golden/models/summary.json")).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert_eq!(cases.len(), Architecture::ALL.len());
    for case in cases {
        let network = network(case["network"].as_str().unwrap().parse().unwrap());
        for totals in case["totals"].as_array().unwrap() {
            let number = |key: &str| totals[key].as_u64().unwrap();
            let all = number("trainable") == number("parameters");
            let train = network.parts_by_names(if all { "all" } else { "head" }).unwrap();
            let summary = Summary::new(&network, &train, number("films") as usize, number("side") as usize).unwrap();
            let got = serde_json::to_value(&summary).unwrap();
            let keys = ["parameters", "trainable", "mult_adds", "pass_bytes", "parameter_bytes"];
            for key in keys {
                assert_eq!(got[key], totals[key], "{key} of {totals} of {}", network.architecture);
            }
            // torchinfo counts 64 bytes of Python's object in.
            assert_eq!(summary.input_bytes + 64, number("input_bytes"));
            assert_eq!(summary.frozen, summary.parameters - summary.trainable);
            assert_eq!(summary.total_bytes, summary.input_bytes + number("pass_bytes") + number("parameter_bytes"));
            // What lies in a row is all that it has.
            let sum =
                |depth: usize| summary.layers.iter().filter(|l| l.depth == depth).map(|l| l.parameters).sum::<usize>();
            assert_eq!((sum(0), sum(1)), (summary.parameters, summary.parameters));
            let leaves = summary.layers.iter().filter(|l| !l.holds).map(|l| l.mult_adds).sum::<u64>();
            assert_eq!(leaves, summary.mult_adds);
        }
        let summary = Summary::new(&network, &network.parts(), 1, 224).unwrap();
        let with_parameters = summary.layers.iter().filter(|layer| !layer.holds && layer.parameters > 0);
        let got: BTreeMap<&str, Value> = with_parameters
            .map(|l| (l.name.as_str(), serde_json::json!([l.kind, l.output, l.parameters, l.mult_adds])))
            .collect();
        let expected: BTreeMap<&str, Value> = case["layers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, layer)| {
                let mut layer = layer.clone();
                // The wheel's own class, for its padding.
                if layer[0].as_str().unwrap().starts_with("Conv2d") {
                    layer[0] = "Conv2d".into();
                }
                (name.as_str(), layer)
            })
            .collect();
        assert_eq!(got, expected, "{}", network.architecture);
    }
}

#[test]
fn rows_nest_as_the_names_do() {
    let network = network(Architecture::Resnet50);
    let train = network.parts_by_names("layer4").unwrap();
    let summary = Summary::new(&network, &train, 3, 64).unwrap();
    let row = |name: &str| summary.layers.iter().find(|layer| layer.name == name).unwrap();
    let shown = |name: &str| {
        let layer = row(name);
        (layer.kind.as_str(), layer.depth, layer.holds, layer.output.as_slice())
    };
    assert_eq!(shown("resnet50"), ("network", 0, true, &[3, 2][..]));
    assert_eq!(shown("layer1"), ("part", 1, true, &[3, 256, 16, 16][..]));
    assert_eq!(shown("layer1.0"), ("Bottleneck", 2, true, &[3, 256, 16, 16][..]));
    assert_eq!(shown("layer1.0.downsample.0"), ("Conv2d", 3, false, &[3, 256, 16, 16][..]));
    assert_eq!(shown("conv1"), ("Conv2d", 2, false, &[3, 64, 32, 32][..]));
    assert_eq!(shown("layer4"), ("part", 1, true, &[3, 2048, 2, 2][..]));
    assert_eq!(shown("avgpool"), ("AdaptiveAvgPool2d", 1, false, &[3, 2048, 1, 1][..]));
    assert_eq!(shown("fc.relu"), ("ReLU", 2, false, &[3, 256][..]));
    assert_eq!(shown("fc.output"), ("LogSoftmax", 2, false, &[3, 2][..]));
    // Each row comes right after the one that it lies in, or after a neighbour.
    let mut open = Vec::new();
    for layer in &summary.layers {
        open.truncate(layer.depth);
        assert_eq!(open.len(), layer.depth, "{}", layer.name);
        open.push(layer.name.as_str());
    }
    let parts: Vec<&str> = summary.layers.iter().filter(|l| l.kind == "part").map(|l| l.name.as_str()).collect();
    assert_eq!(parts, network.graph.parts());
    assert_eq!((row("layer3").trainable, row("layer4").trainable), (0, row("layer4").parameters));
    assert_eq!(row("resnet50").trainable, network.graph.param_count(&train));
    assert_eq!(summary.layers.iter().filter(|l| l.kind == "Bottleneck").count(), 16);
}

#[test]
fn a_large_batch_does_not_overflow() {
    let network = network(Architecture::Resnet18);
    assert!(Summary::new(&network, &[], 65_536, 2048).unwrap().mult_adds > 1 << 50);
}
