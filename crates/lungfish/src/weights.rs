//! The weights that a training starts from: ImageNet's, somebody's file, or chance.

use std::path::Path;

use lungfish_data::Task;
use lungfish_data::display::escape;
use lungfish_engine::Store;
use lungfish_models::{
    Architecture, FreshHead, HeadConfig, HeadLoad, Network, Place, WeightsError, imagenet, initialise, load_backbone,
    read_weights,
};

use crate::compute::Compute;
use crate::task::Answers;
use crate::{Error, Event, Recipe, Watch};

/// The head that a recipe asks for, and the task of its films.
pub(crate) fn head(recipe: &Recipe, task: Task) -> HeadConfig {
    HeadConfig { hidden: recipe.hidden, dropout: recipe.dropout as f32, output: task.output() }
}

/// The network that a recipe asks for, for films of so many classes or labels.
pub(crate) fn network(recipe: &Recipe, task: Task, classes: usize) -> Result<Network, Error> {
    let mut network = Network::new(recipe.architecture, classes, &head(recipe, task))?;
    if recipe.batch_norm_momentum > 0.0 {
        network.graph = network.graph.with_batch_norm_momentum(recipe.batch_norm_momentum as f32);
    }
    Ok(network)
}

/// Its tensors before the first step: by chance from the seed, then those of `recipe.weights` over them. `classes` are
/// the class names in index order.
///
/// # Errors
/// Weights that cannot be read or are not this network's; [`Error::Stopped`].
pub(crate) fn start(
    recipe: &Recipe,
    network: &Network,
    (task, classes): (Task, &[String]),
    backend: &Compute,
    watch: &mut Watch<'_>,
) -> Result<Store<Compute>, Error> {
    let mut store = Store::new(backend, &network.graph)?;
    initialise(&mut store, network, recipe.training_seed())?;
    let report = match recipe.weights.as_str() {
        "none" => {
            watch.event(&Event::Note("starting from random weights".to_owned()));
            if recipe.frozen_epochs > 0 {
                watch.event(&Event::Warning(format!(
                    "the backbone's weights are random and stay so for the {} epochs that train the head alone: features \
                     of random weights say next to nothing about a film; take weights=imagenet, or frozen_epochs=0 to \
                     train all of it from the start",
                    recipe.frozen_epochs
                )));
            }
            return Ok(store);
        }
        "imagenet" => load_backbone(&mut store, network, &imagenet(recipe.architecture)?.into(), classes)?,
        file => {
            if !Path::new(file).exists() {
                let what =
                    format!("there is no weights file {}; other weights are \"imagenet\" and \"none\"", escape(file));
                return Err(Error::refused(what));
            }
            let mut weights = read_weights(Path::new(file), watch.flag()).map_err(|e| match e {
                WeightsError::Stopped => Error::Stopped,
                e => e.into(),
            })?;
            // Files that say no task are of those that tell one class from the others.
            let theirs = weights.task.clone().unwrap_or_else(|| Task::OneOf.to_string());
            if theirs != task.name() && weights.classes.take().is_some() {
                watch.warn(format!(
                    "the head of {} was trained for {theirs} labels and this training's are {task}: it is not taken over",
                    escape(file)
                ));
            }
            let report = load_backbone(&mut store, network, &weights, classes)
                .map_err(|e| Error::refused(format!("the weights in {}: {e}", escape(file))))?;
            place_sentences(&escape(file), recipe.architecture, &report.place)
                .into_iter()
                .for_each(|text| watch.note(text));
            if let Some(event) = head_sentence(&escape(file), &report.head, weights.classes.as_deref(), classes) {
                watch.event(&event);
            }
            report
        }
    };
    watch.event(&Event::Weights {
        source: recipe.weights.clone(),
        loaded: report.loaded,
        missing: report.missing,
        unexpected: report.unexpected,
    });
    Ok(store)
}

/// What there is to say about where a file has the backbone; nothing where it bears its names alone.
pub(crate) fn place_sentences(file: &str, architecture: Architecture, place: &Place) -> Vec<String> {
    let mut said = Vec::new();
    let others = place.others.iter().map(escape).collect::<Vec<_>>().join(", ");
    let aside = if others.is_empty() { String::new() } else { format!("; another one, under {others}, is left aside") };
    match escape(&place.prefix).as_str() {
        "" if others.is_empty() => {}
        "" => said.push(format!("{architecture}'s backbone is taken from {file} by its names alone{aside}")),
        prefix => said.push(format!("{architecture}'s backbone lies under {prefix} in {file}{aside}")),
    }
    if place.positional {
        said.push(format!(
            "the modules of {file} are called by their places in an nn.Sequential: they are taken in the order of \
             torchvision's {architecture}"
        ));
    }
    if place.one_channel {
        said.push(format!(
            "the first convolution of {file} reads one channel: a third of its weights goes to each of three, which gray films \
             reach as equal channels"
        ));
    }
    said
}

/// What there is to say about the head of a file's weights.
fn head_sentence(file: &str, head: &HeadLoad, theirs: Option<&[String]>, classes: &[String]) -> Option<Event> {
    let list = |names: &[String]| names.iter().map(escape).collect::<Vec<_>>().join(", ");
    let new = list(classes);
    let reason = match head {
        HeadLoad::Fresh { reason } => reason,
        HeadLoad::Reordered => {
            return Some(Event::Note(format!(
                "the head of {file} tells {} apart: its outputs were put in this training's order, {new}, by name",
                list(theirs.unwrap_or_default())
            )));
        }
        _ => return None,
    };
    let what = match reason {
        FreshHead::Unnamed => format!(
            "{file} does not say which classes its head tells apart; this training's are {new}, and the head starts at \
             random"
        ),
        FreshHead::OtherClasses { weights, .. } => format!(
            "the head of {file} tells {} apart and this training's classes are {new}: the head starts at random",
            list(weights)
        ),
        FreshHead::Shape { name, found, needed } => format!(
            "the head of {file} tells this training's classes ({new}) apart, but its {} has shape {found:?} where the \
             recipe asks for {needed:?}: the head starts at random",
            escape(name)
        ),
        FreshHead::Incomplete { name } => {
            format!("the head of {file} has no {}: the head, for the classes {new}, starts at random", escape(name))
        }
        // As every ImageNet backbone: what is new is listed with the weights.
        _ => return None,
    };
    Some(Event::Warning(what))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use lungfish_models::ModelFile;

    use super::*;
    use crate::{Changes, model};

    /// What a start from `weights` says, notes and warnings alone, and the store.
    fn begin(settings: &[&str], classes: &[&str], stop: bool) -> (Result<Store<Compute>, Error>, Vec<String>) {
        let mut changes = Changes::default();
        for setting in settings.iter().chain(&["architecture=efficientnet-lite0", "hidden=8"]) {
            changes.set(setting).unwrap();
        }
        let recipe = changes.apply(Recipe::default()).unwrap();
        let classes: Vec<String> = classes.iter().map(|&class| class.to_owned()).collect();
        let network = network(&recipe, Task::OneOf, classes.len()).unwrap();
        let mut said = Vec::new();
        let mut observer = |event: &Event| match event {
            Event::Note(text) => said.push(format!("note: {text}")),
            Event::Warning(text) => said.push(format!("warning: {text}")),
            _ => {}
        };
        let store = start(
            &recipe,
            &network,
            (Task::OneOf, &classes),
            &Compute::default(),
            &mut Watch::new(&mut observer, &AtomicBool::new(stop)),
        );
        (store, said)
    }

    #[test]
    fn a_head_of_another_task_is_not_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("labels.safetensors");
        let recipe = Recipe { hidden: 8, ..Recipe::default() };
        let network = network(&recipe, Task::AnyOf, 2).unwrap();
        let mut store = Store::new(&Compute::default(), &network.graph).unwrap();
        initialise(&mut store, &network, 1).unwrap();
        let mut file = ModelFile { tensors: model::capture(&store).unwrap(), ..ModelFile::default() };
        file.metadata.insert("classes".to_owned(), r#"["MASS","NODE"]"#.to_owned());
        file.metadata.insert("task".to_owned(), "any-of".to_owned());
        std::fs::write(&path, file.to_bytes().unwrap()).unwrap();
        let (started, said) = begin(&[&format!("weights={}", path.display())], &["MASS", "NODE"], false);
        assert!(said[0].contains("was trained for any-of labels and this training's are one-of"), "{said:?}");
        let bias = |store: &Store<Compute>| store.get("_fc.fc2.weight").unwrap();
        assert_ne!(bias(&started.unwrap()), bias(&store));
    }

    #[test]
    fn a_frozen_backbone_of_random_weights_warns() {
        let (_, said) = begin(&["weights=none", "frozen_epochs=2"], &["A", "B"], false);
        assert!(
            said[1].starts_with("warning: the backbone's weights are random and stay so for the 2 epochs"),
            "{said:?}"
        );
        let (_, said) = begin(&["weights=none", "frozen_epochs=0", "epochs=1"], &["A", "B"], false);
        assert_eq!(said, ["note: starting from random weights"]);
        let (_, said) = begin(&["frozen_epochs=2"], &["A", "B"], false);
        assert!(said.is_empty(), "{said:?}");
    }

    #[test]
    fn a_head_comes_with_its_classes_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("parent.safetensors");
        let setting = format!("weights={}", path.display());
        let (store, _) = begin(&["seed=7"], &["NORMAL", "PNEUMONIA"], false);
        let store = store.unwrap();
        let mut file = ModelFile { tensors: model::capture(&store).unwrap(), ..ModelFile::default() };
        let mut write = |classes: Option<&str>| {
            file.metadata.clear();
            file.metadata.extend(classes.map(|json| ("class_to_idx".to_owned(), json.to_owned())));
            std::fs::write(&path, file.to_bytes().unwrap()).unwrap();
        };
        let bias = |store: &Store<Compute>| store.get("_fc.fc2.bias").unwrap();
        let parent = bias(&store);

        write(Some(r#"{"NORMAL":0,"PNEUMONIA":1}"#));
        let (same, said) = begin(&[&setting], &["NORMAL", "PNEUMONIA"], false);
        assert_eq!((bias(&same.unwrap()), said.len()), (parent.clone(), 0), "{said:?}");
        let (turned, said) = begin(&[&setting], &["PNEUMONIA", "NORMAL"], false);
        assert_eq!(bias(&turned.unwrap()), [parent[1], parent[0]]);
        assert!(said[0].starts_with("note: ") && said[0].contains("order, PNEUMONIA, NORMAL, by name"), "{said:?}");
        let (other, said) = begin(&[&setting], &["COVID", "Normal"], false);
        assert!(bias(&other.unwrap()).iter().all(|b| !parent.contains(b)));
        assert_eq!(
            said,
            [format!(
                "warning: the head of {} tells NORMAL, PNEUMONIA apart and this training's classes are COVID, Normal: the head starts at random",
                path.display()
            )]
        );
        write(None);
        let (unnamed, said) = begin(&[&setting], &["NORMAL", "PNEUMONIA"], false);
        assert!(bias(&unnamed.unwrap()).iter().all(|b| !parent.contains(b)));
        assert!(said[0].contains("does not say which classes") && said[0].contains("NORMAL, PNEUMONIA"), "{said:?}");
        let (stopped, _) = begin(&[&setting], &["NORMAL", "PNEUMONIA"], true);
        assert!(matches!(stopped, Err(Error::Stopped)));
    }
}
