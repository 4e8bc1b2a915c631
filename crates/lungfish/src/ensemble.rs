//! Several models as one: their probabilities are averaged, which errs less than most of them alone, and how far they are
//! apart says how sure the average is (Lakshminarayanan, Pritzel and Blundell, NeurIPS 2017).

mod points;

use std::path::{Path, PathBuf};

use lungfish_data::ContentHash;
use lungfish_data::display::escape;

use crate::compute::Compute;
use crate::lineage::Lineage;
use crate::model::{self, Member, Model, ModelInfo};
use crate::run_folder::{self, write_atomically};
use crate::{BestEpoch, Error, RobustMetrics, Watch};

/// What came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EnsembleOutcome {
    /// The model file.
    pub model: PathBuf,
    /// What it says about itself.
    pub info: ModelInfo,
}

/// Makes one model of several run folders or model files, in the order given. They must tell the same classes apart, in the
/// same order, and prepare films in the same way; networks and heads may differ. A film that ever taught one of them has
/// taught the ensemble. Where all members were trained on one split whose validation films are still there, these say where the
/// ensemble may call films (its operating points), as they do for a network at the end of its training.
///
/// `out` is a file, or a folder that is made where there is none: then the model is its `best.safetensors`, and where all
/// members were trained on one split, that split lies beside it, so that the folder can be tested as a run.
///
/// # Errors
/// Fewer than two models, a model that cannot be opened, is an ensemble itself or does not fit the first; a file or folder
/// that is there already or cannot be written.
pub fn ensemble(models: &[PathBuf], out: &Path, watch: &mut Watch<'_>) -> Result<EnsembleOutcome, Error> {
    if models.len() < 2 {
        return Err(Error::refused("an ensemble is made of two models or more"));
    }
    let backend = Compute::default();
    let members: Vec<Model> = models.iter().map(|path| Model::open(path, &backend)).collect::<Result<_, _>>()?;
    let content = |member: &Model| {
        let bytes = std::fs::read(member.file()).map_err(|e| Error::io("read", member.file(), e))?;
        Ok(ContentHash::of(&bytes))
    };
    let contents: Vec<ContentHash> = members.iter().map(content).collect::<Result<_, Error>>()?;
    for (index, member) in members.iter().enumerate() {
        member.require_single("name its members instead")?;
        let file = |model: &Model| escape(model.file());
        // Known by what is in it: a copy under another name would count twice in the mean and say that all agree.
        if let Some(same) = contents[..index].iter().position(|content| *content == contents[index]) {
            return Err(Error::refused(format!("{} and {} are the same model", file(&members[same]), file(member))));
        }
        fits(&members[0].info, &member.info)
            .map_err(|why| Error::refused(format!("{} and {} {why}", file(&members[0]), file(member))))?;
    }
    let as_folder = out.extension().is_none_or(|extension| extension != "safetensors");
    let file = if as_folder { out.join(run_folder::BEST) } else { out.to_owned() };
    let lineages: Vec<Lineage> = members.iter().map(|member| member.lineage.clone()).collect();
    let lineage = Lineage::merged(&lineages);
    let mut info = members[0].info.clone();
    info.members = members.iter().map(|member| Member::of(&member.info)).collect();
    info.epoch = mean(&info.members);
    // Each member's is in its weights; what all together say of the validation films is asked below.
    info.calibration = None;
    info.ancestors.clone_from(&lineage.ancestors);
    info.synthetic = members.iter().any(|member| member.info.synthetic);
    for member in &members[1..] {
        let new = member.info.caveats.iter().filter(|caveat| !info.caveats.contains(caveat));
        let new: Vec<_> = new.cloned().collect();
        info.caveats.extend(new);
    }
    if members.iter().any(|member| member.info.split_file != info.split_file) {
        info.split_file = None;
    }
    info.calibration = points::of(&info, models, &backend, watch)?;
    let mut networks = Vec::new();
    for member in &members {
        networks.push((model::capture(&member.stores[0])?, member.references.first().and_then(Option::as_ref)));
    }
    let bytes = model::to_bytes(&info, networks, &lineage)?;
    // The same once more, as by a resume of what is finished, is no harm.
    if file.exists() && std::fs::read(&file).ok().as_ref() != Some(&bytes) {
        return Err(Error::refused(format!("{} is there already: choose another name", escape(&file))));
    }
    if as_folder {
        std::fs::create_dir_all(out).map_err(|e| Error::io("create", out, e))?;
        if let (Some(run), true) = (&members[0].run, info.split_file.is_some()) {
            let split = run.join(run_folder::SPLIT);
            let split = std::fs::read(&split).map_err(|e| Error::io("read", &split, e))?;
            write_atomically(&out.join(run_folder::SPLIT), &split)?;
        }
    }
    write_atomically(&file, &bytes)?;
    Ok(EnsembleOutcome { model: file, info })
}

impl Member {
    fn of(info: &ModelInfo) -> Self {
        Member {
            architecture: info.architecture,
            hidden: info.head.hidden,
            epoch: info.epoch.clone(),
            seed: info.recipe.seed,
            member: info.recipe.member,
            precision: info.recipe.precision.precision().into(),
        }
    }
}

/// What keeps two models from being asked about the same film.
fn fits(first: &ModelInfo, other: &ModelInfo) -> Result<(), String> {
    let list = |names: &[String]| names.iter().map(escape).collect::<Vec<_>>().join(", ");
    if first.task != other.task {
        return Err(format!("cannot be averaged: one is {}, the other {}", first.task, other.task));
    }
    if first.classes != other.classes {
        return Err(format!("tell other classes apart: {}; and {}", list(&first.classes), list(&other.classes)));
    }
    if first.preprocess != other.preprocess {
        return Err("prepare films in different ways (size, fit, channels or normalisation)".to_owned());
    }
    if first.for_equal_classes() != other.for_equal_classes() {
        return Err("give probabilities for different frequencies of the classes (prior)".to_owned());
    }
    Ok(())
}

/// The means of the members' metrics; phase and epoch are the first one's. None where a member has none.
fn mean(members: &[Member]) -> Option<BestEpoch> {
    let epochs: Vec<&BestEpoch> = members.iter().map(|member| member.epoch.as_ref()).collect::<Option<_>>()?;
    let first = *epochs.first()?;
    let mean = |of: &dyn Fn(&BestEpoch) -> f64| epochs.iter().map(|epoch| of(epoch)).sum::<f64>() / epochs.len() as f64;
    // A mean that one of them has no part in would be of other models.
    let mean_of = |of: &dyn Fn(&BestEpoch) -> Option<f64>| {
        epochs.iter().all(|epoch| of(epoch).is_some()).then(|| mean(&|epoch| of(epoch).unwrap_or_default()))
    };
    let seen = |of: &dyn Fn(&RobustMetrics) -> f64| mean_of(&|epoch| epoch.robust.as_ref().map(of));
    let robust = match (seen(&|m| m.loss), seen(&|m| m.accuracy), seen(&|m| m.choice)) {
        (Some(loss), Some(accuracy), Some(choice)) => {
            Some(RobustMetrics { loss, accuracy, auc: mean_of(&|epoch| epoch.robust.and_then(|m| m.auc)), choice })
        }
        _ => None,
    };
    Some(BestEpoch {
        val_accuracy: mean(&|epoch| epoch.val_accuracy),
        val_auc: mean_of(&|epoch| epoch.val_auc),
        val_loss: mean(&|epoch| epoch.val_loss),
        robust,
        why: None,
        ..first.clone()
    })
}
