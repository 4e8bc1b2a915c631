//! The keys: each with its type, its default, what it means and which values it takes, in one place.

use std::collections::BTreeMap;

use lungfish_data::{Augment, Channels, Columns, DicomView, Equalize, Exif, Fit, PatientRule, Uncertain};
use lungfish_models::Architecture;
use serde::de::DeserializeOwned;

use crate::{PointRule, PrecisionRule};

use super::{Best, ClassWeights, LearningRate, Optimizer, PriorRule, RecipeError, Sampling, Schedule};

/// The words for the values that a key takes. These are the rules there are:
///
/// | rule | values |
/// |-|-|
/// | `LOW to HIGH` | both ends too |
/// | `LOW to below HIGH` | without the upper end, in single floats, as the network computes |
/// | `above LOW to HIGH` | without the lower end |
/// | `above LOW` | without it, and finite |
/// | `LOW up` | with it, and finite |
/// | `\|value\| check, "words"` | those that pass the check |
/// | `any "words"` | those of the key's type |
///
/// A range may have words of its own after a comma. `as NAME` makes it a constant of [`Recipe`] too, for those who have
/// to ask the same elsewhere.
macro_rules! words {
    ((any $words:literal)) => {
        $words
    };
    ((above $low:literal)) => {
        concat!("a number above ", $low)
    };
    ((above $low:literal to $high:literal)) => {
        concat!("a number above ", $low, " and up to ", $high)
    };
    ((above $low:literal, $words:literal)) => {
        $words
    };
    (($low:literal up)) => {
        concat!("a number from ", $low, " up")
    };
    (($low:literal up, $words:literal)) => {
        $words
    };
    (($low:literal to below $high:literal)) => {
        concat!("a number from ", $low, " to below ", $high)
    };
    (($low:literal to $high:literal $(as $name:ident)?)) => {
        concat!("a number from ", $low, " to ", $high)
    };
    (($low:literal to $high:literal, $words:literal)) => {
        $words
    };
    ((|$value:ident| $check:expr, $words:literal)) => {
        $words
    };
}

/// Whether a value is one of those that its rule lets through.
macro_rules! allows {
    ($value:expr, $type:ty, (any $words:literal)) => {
        true
    };
    ($value:expr, $type:ty, (above $low:literal $(, $words:literal)?)) => {
        *$value > $low as $type && *$value <= <$type>::MAX
    };
    ($value:expr, $type:ty, (above $low:literal to $high:literal)) => {
        *$value > $low as $type && *$value <= $high as $type
    };
    ($value:expr, $type:ty, ($low:literal up $(, $words:literal)?)) => {
        ($low as $type..=<$type>::MAX).contains($value)
    };
    ($value:expr, $type:ty, ($low:literal to below $high:literal)) => {
        ($low as $type..$high as $type).contains($value) && (*$value as f32) < $high as f32
    };
    ($value:expr, $type:ty, ($low:literal to $high:literal $(as $name:ident)? $(, $words:literal)?)) => {
        ($low as $type..=$high as $type).contains($value)
    };
    ($value:expr, $type:ty, (|$name:ident| $check:expr, $words:literal)) => {{
        let $name = $value;
        $check
    }};
}

/// The range as a constant, where its rule names one.
macro_rules! constant {
    ($key:ident, $type:ty, ($low:literal to $high:literal as $name:ident)) => {
        #[doc = concat!("Values that `", stringify!($key), "` takes.")]
        pub const $name: std::ops::RangeInclusive<$type> = $low..=$high;
    };
    ($key:ident, $type:ty, $rule:tt) => {};
}

/// Writes the struct once: field, type, default, which values it takes, and what it means (which is the doc comment, the
/// TOML comment and the text of a refusal). A key without a rule does not compile.
macro_rules! recipe {
    (
        $($(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr, $rule:tt;)+
        columns { $($(#[doc = $meaning:literal])+ $column:ident;)+ }
        augment { $($(#[doc = $about:literal])+ $field:ident: $kind:ty, $range:tt;)+ }
    ) => {
        /// Everything that decides what a training gives. Threads, workers, device and the place of the
        /// data are no part of it: they may differ between two runs of the same result.
        ///
        /// ```
        /// let mut recipe = lungfish::Recipe::default();
        /// recipe.set("fit=squash")?;
        /// assert_eq!(lungfish::Recipe::from_toml(&recipe.to_toml())?, recipe);
        /// # Ok::<(), lungfish::RecipeError>(())
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        pub struct Recipe {
            $($(#[doc = $doc])+ pub $key: $type,)+
            /// Learning rates of single parts in the second phase, instead of `lr`; their keys are `lr.PART`.
            pub part_lr: BTreeMap<String, f64>,
            /// Which column of a table of labels is what; its keys are `columns.COLUMN`.
            pub columns: Columns,
            /// How training films are altered by chance; its keys are `augment.FIELD`, and `augment` sets all of them to a
            /// preset.
            pub augment: Augment,
        }

        impl Default for Recipe {
            fn default() -> Self {
                Recipe {
                    $($key: $default,)+
                    part_lr: BTreeMap::new(),
                    columns: Columns::default(),
                    augment: Augment::ROBUST,
                }
            }
        }

        /// One key of a recipe.
        #[derive(Clone, Copy, Debug)]
        pub struct Key {
            /// Its name.
            pub name: &'static str,
            /// What it means, one sentence.
            pub about: &'static str,
            /// Which values it takes.
            pub allowed: &'static str,
        }

        /// Every key, in the order in which a recipe is written.
        pub const KEYS: &[Key] = &[
            $(Key { name: stringify!($key), about: concat!($($doc),+), allowed: words!($rule) },)+
            $(Key {
                name: concat!("columns.", stringify!($column)),
                about: concat!($($meaning),+),
                allowed: COLUMN,
            },)+
            $(Key {
                name: concat!("augment.", stringify!($field)),
                about: concat!($($about),+),
                allowed: words!($range),
            },)+
        ];

        impl Recipe {
            $(constant!($key, $type, $rule);)+

            /// Whether a key's value is one of those that it takes.
            pub(super) fn in_range(&self, key: &str) -> bool {
                match (key, part(key)) {
                    $((stringify!($key), _) => allows!(&self.$key, $type, $rule),)+
                    $((concat!("augment.", stringify!($field)), _) => allows!(&self.augment.$field, $kind, $range),)+
                    $((concat!("columns.", stringify!($column)), _) => !self.columns.$column.is_empty(),)+
                    (_, Some(part)) => self.lr_of(part).is_valid(),
                    _ => true,
                }
            }

            /// Puts one value in its place, if it is of the right kind.
            pub(super) fn put(&mut self, key: &str, value: &toml::Value) -> Result<(), RecipeError> {
                match (key, part(key)) {
                    $((stringify!($key), _) => self.$key = convert(key, value, words!($rule))?,)+
                    $((concat!("augment.", stringify!($field)), _) => {
                        self.augment.$field = convert(key, value, words!($range))?;
                    })+
                    $((concat!("columns.", stringify!($column)), _) => {
                        self.columns.$column = convert(key, value, COLUMN)?;
                    })+
                    (PRESET, _) => {
                        let preset = value.as_str().and_then(Augment::preset);
                        self.augment = preset.ok_or_else(|| bad_value(key, value, PRESETS))?;
                    }
                    (_, Some(part)) => {
                        let rate = convert(key, value, allowed(key))?;
                        self.part_lr.insert(part.to_owned(), rate);
                    }
                    _ => return Err(unknown(key)),
                }
                Ok(())
            }

            /// One value, as TOML has it.
            pub(super) fn value(&self, key: &str) -> Option<toml::Value> {
                match (key, part(key)) {
                    $((stringify!($key), _) => toml::Value::try_from(&self.$key).ok(),)+
                    $((concat!("augment.", stringify!($field)), _) => toml::Value::try_from(&self.augment.$field).ok(),)+
                    $((concat!("columns.", stringify!($column)), _) => {
                        Some(toml::Value::String(self.columns.$column.clone()))
                    })+
                    (_, Some(part)) => toml::Value::try_from(self.lr_of(part)).ok(),
                    _ => None,
                }
            }
        }
    };
}

recipe! {
    /// The network. Each takes images of any size; efficientnet-lite1 was made for an image_size of 240, efficientnet-lite2 for 260, the others for 224.
    architecture: Architecture = Architecture::EfficientnetLite0, (any "resnet18, resnet34, resnet50, efficientnet-lite0, efficientnet-lite1 or efficientnet-lite2");
    /// Where the weights come from before training: "imagenet", "none", or a .pth or .safetensors file.
    weights: String = "imagenet".to_owned(), (|weights| !weights.is_empty(), "\"imagenet\", \"none\" or a file");
    /// Features between the two linear layers of the head.
    hidden: usize = 256, (1 to 65536 as HIDDEN);
    /// Probability with which the head drops a feature while training.
    dropout: f64 = 0.0, (0 to below 1);
    /// Weight of a batch's statistics in batch-norm's running ones; 0 is the network's own (the Lite networks: 0.01, too slow for short trainings).
    batch_norm_momentum: f64 = 0.1, (0 to 1);
    /// Decode films as one gray channel (Pillow's L) or as three.
    channels: Channels = Channels::Gray, (any "gray or rgb");
    /// Bits of a 16-bit sample that the films use; 0 decides it once over all films: 8, 12 or 14 where no sample is above their most, else 16.
    sample_bits: u8 = 0, (|bits| *bits == 0 || (8..=16).contains(bits), "0 or a number from 8 to 16");
    /// How the values of a DICOM become light: voi, as its window or VOI LUT says, or full-range, all that its bits span.
    dicom_view: DicomView = DicomView::Voi, (any "voi or full-range");
    /// What is done about the orientation that a JPEG or PNG notes (EXIF): ignore, as torchvision does, or apply.
    exif: Exif = Exif::Ignore, (any "ignore or apply");
    /// How a film that is not square becomes square: cut the middle out, pad with black, or squash.
    fit: Fit = Fit::Crop, (any "crop, pad or squash");
    /// What is done to the histogram of the square, each channel by itself: nothing, Pillow's ImageOps.equalize, or OpenCV's CLAHE with a clip limit of 2 on 8 by 8 tiles.
    equalize: Equalize = Equalize::None, (any "none, histogram or clahe");
    /// Side of the image that the network sees, pixels.
    image_size: usize = 224, (32 to 2048 as IMAGE_SIZE);
    /// What tells the patient of a film: "auto" for names that are known (Kermany's, NIH's, CheXpert's, folders of a case each), or a regular expression on the file name or the path below the data whose group 1 is the patient.
    patient: String = PatientRule::AUTO.to_owned(), (|rule| PatientRule::new(rule).is_ok(), "\"auto\" or a regular expression with one group");
    /// Table of the labels: "auto" for class folders or the data's own labels.csv, or a CSV or TSV file with a row a film.
    labels: String = "auto".to_owned(), (|labels| !labels.is_empty(), "\"auto\" or a file");
    /// What is made of an uncertain label (-1) of a table: ignore (unknown), positive or negative.
    uncertain: Uncertain = Uncertain::Ignore, (any "ignore, positive or negative");
    /// Part of the films that becomes the validation split where the data has none or a tiny one.
    val_fraction: f64 = 0.10, (above 0 to 0.5);
    /// Part of the films that becomes the test split where the data has none; 0 is no test split.
    test_fraction: f64 = 0.15, (0 to 0.5);
    /// Use about so many films, whole patients, the classes in proportion; 0 is all.
    limit: usize = 0, (any "0 or a number of films");
    /// Stop at a bad film instead of leaving it out.
    strict: bool = false, (any "true or false");
    /// Which of two classes is the positive one, of which sensitivity and specificity are told: a name, or "auto" for the one that is not called normal, negative, healthy or the like.
    positive: String = "auto".to_owned(), (|name| !name.is_empty(), "\"auto\" or a class");
    /// Seed of every random number.
    seed: u64 = 0, (0 to 9223372036854775807 as SEED);
    /// Which of several trainings with the same seed and so the same split this is: each has an order of films, augmentation and fresh weights of its own.
    member: usize = 0, (0 to 1024, "a number up to 1024");
    /// What the values between the layers are: fp32, bf16 (bfloat16, as PyTorch's autocast has it), f16 (halves and a scaled loss, for GPUs that have them), or auto, which a training settles as it begins: bf16 where the processor multiplies bfloat16, else fp32.
    precision: PrecisionRule = PrecisionRule::Auto, (any "fp32, bf16, f16 or auto");
    /// Films a step.
    batch_size: usize = 32, (1 to 65536 as BATCH_SIZE);
    /// Epochs that train the head alone, the rest frozen.
    frozen_epochs: usize = 10, (any "a number of epochs");
    /// Epochs after those, with the parts of `unfreeze` training too.
    epochs: usize = 0, (any "a number of epochs");
    /// Sides of the image in the epochs of the second phase, in equal parts, such as "160,224"; the last is image_size. Small ones take less time. auto is about 5/7 of image_size in the first three of four epochs, where there are six or more; full is image_size in all.
    sizes: String = "auto".to_owned(), (|sizes| Recipe::sides(sizes).is_some(), "auto, full, or numbers from 32 to 2048 with commas, such as \"160,224\"");
    /// Parts that train in the second phase: "all", or names with commas; the head always does.
    unfreeze: String = "all".to_owned(), (|parts| !parts.is_empty(), "\"all\" or names of parts with commas, such as \"layer3,layer4\"");
    /// Augmented views of each film that the frozen phase goes through, computed once each (the first is unaugmented; each epoch has films of all views); 0 is a fresh one every epoch.
    frozen_views: usize = 2, (0 to 1024, "a number of views up to 1024");
    /// Keep the features of each view in memory; false computes them anew every epoch, to the same metrics.
    cache_features: bool = true, (any "true or false");
    /// Optimiser.
    optimizer: Optimizer = Optimizer::AdamW, (any "adam or adamw");
    /// Weight decay, as torch.optim's Adam (L2) or AdamW (decoupled).
    weight_decay: f64 = 0.01, (0 up);
    /// Learning rate of the frozen phase.
    frozen_lr: f64 = 1e-3, (above 0);
    /// Schedule of the frozen phase's learning rate: moved on each epoch, one-cycle each step.
    frozen_schedule: Schedule = Schedule::Cosine, (any "constant, step, cosine or one-cycle");
    /// Frozen phase, step schedule: epochs between two steps.
    frozen_step_size: usize = 7, (above 0, "a number of epochs above 0");
    /// Frozen phase, step schedule: factor of a step.
    frozen_gamma: f64 = 0.1, (above 0 to 1);
    /// Learning rate of the second phase; a line such as lr.layer4 = 0.00001 gives a part its own. auto is the one that a range test finds before the phase, in a hundred steps that are then undone (lr.csv and lr.svg in the run folder show it).
    lr: LearningRate = LearningRate::At(5e-4), (|lr| lr.is_valid(), "a number above 0, or auto");
    /// Schedule of the second phase's learning rates: moved on each epoch, one-cycle each step.
    schedule: Schedule = Schedule::OneCycle, (any "constant, step, cosine or one-cycle");
    /// Second phase, step schedule: epochs between two steps.
    step_size: usize = 7, (above 0, "a number of epochs above 0");
    /// Second phase, step schedule: factor of a step.
    gamma: f64 = 0.1, (above 0 to 1);
    /// One-cycle schedule, either phase: part of the steps in which the learning rate rises to its full value.
    pct_start: f64 = 0.3, (0 to 1);
    /// One-cycle schedule, either phase: the first learning rate is the full one divided by this.
    div_factor: f64 = 25.0, (1 up);
    /// One-cycle schedule, either phase: the last learning rate is the first one divided by this.
    final_div_factor: f64 = 1e4, (1 up);
    /// Weight of each class in the loss: none, or balanced (films / (classes * films of the class); of a label that films may have, films without it / films with it, for those with it).
    class_weights: ClassWeights = ClassWeights::None, (any "none or balanced");
    /// Label smoothing, as torch's CrossEntropyLoss; labels that films may have move towards one half.
    label_smoothing: f64 = 0.05, (0 to below 1);
    /// Second phase: a model that is learnt from besides the labels (distillation): a run folder, a model file or an ensemble of the same classes, asked about the same augmented films; "none" is none. The films that taught it count as training films of this model.
    teacher: String = "none".to_owned(), (|teacher| !teacher.is_empty(), "\"none\", a model file or a run folder");
    /// Share of the teacher in the targets; the labels have the rest.
    teacher_weight: f64 = 0.5, (above 0 to 1);
    /// How an epoch draws its training films: shuffled is each once; balanced is as many in all, the classes equally often, each film of a class as often as the others.
    sampling: Sampling = Sampling::Shuffled, (any "shuffled or balanced");
    /// Second phase: the films of a step are mixed in pairs, pixels and targets, in proportions of Beta(mixup, mixup) (Zhang et al. 2018), as timm; 0 is off.
    mixup: f64 = 0.0, (0 to 100);
    /// Second phase: a rectangle of each film comes from another film of the step, its area of Beta(cutmix, cutmix) (Yun et al. 2019), as timm; 0 is off. With mixup too, each step draws one of the two.
    cutmix: f64 = 0.0, (0 to 100);
    /// Second phase: what is validated and kept is an exponential moving average of the weights with this decay a step, bias-corrected, with batch-norm statistics of its own; 0 is the weights themselves.
    ema_decay: f64 = 0.0, (0 to below 1);
    /// Second phase: what is validated and kept in so many last epochs is the mean of the weights at their ends (stochastic weight averaging, Izmailov et al. 2018), with batch-norm statistics of its own; 0 is the weights themselves.
    swa_epochs: usize = 0, (any "a number of epochs");
    /// Largest global norm of a step's gradient; 0 is no clipping.
    clip_norm: f64 = 0.0, (0 up, "0 or a number above 0");
    /// Stop a phase after so many epochs without a better validation metric; 0 is never.
    early_stopping: usize = 0, (any "a number of epochs");
    /// The validation metric that decides which epoch is kept: robust is the mean of the losses on the films as they are and on their views (val_views); among epochs alike in accuracy or AUC within a standard error the AUC decides, then the loss. For labels that films may have it is always their mean AUC.
    best: Best = Best::Robust, (any "robust, accuracy or auc");
    /// Views of each validation film under a fixed draw of the preset robust, on which every epoch is validated too; 0 is none.
    val_views: usize = 2, (0 to 1024, "a number of views up to 1024");
    /// For which frequency of the classes the model's probabilities are: none leaves that of the training films, equal moves them to classes that are equally frequent. For labels that films may have it is always none.
    prior: PriorRule = PriorRule::Equal, (any "none or equal");
    /// Divide the logits by the temperature that the validation films say at the end of the training: no call at 0.5 changes by it, and probabilities are as sure as these films have them right.
    calibrate: bool = true, (any "true or false");
    /// Operating points that are found on the validation films and kept in the model, with commas: youden, max-accuracy, sensitivity=0.95, specificity=0.9 (or other shares).
    operating_points: String = "youden,max-accuracy,sensitivity=0.95,specificity=0.9".to_owned(), (|points| PointRule::list(points).is_ok(), "youden, max-accuracy, sensitivity=SHARE and specificity=SHARE, with commas");
    /// Where films are called that are of two classes, or have labels: a probability, or one of operating_points.
    call_at: PointRule = PointRule::default(), (any "a probability, youden, max-accuracy, sensitivity=SHARE or specificity=SHARE");
    /// Training films, chosen evenly, of which the model keeps where they lie among its features and what the look of them tells, so that it can say how unlike them a film is; 0 is none.
    reference_films: usize = 1000, (0 to 100000, "a number of films up to 100000");
    /// Seconds between two checkpoints inside an epoch; 0 is at its end only.
    checkpoint_seconds: u64 = 300, (0 to 9223372036854775807, "a number of seconds");
    columns {
        /// Table of labels: the column of the files, of their names or of their names without extension.
        path;
        /// Table of labels: the column of the class, or of labels with | between.
        label;
        /// Table of labels: the column of the patient.
        patient;
        /// Table of labels: the column of the split.
        split;
    }
    augment {
        /// Augmentation: rotated by up to so many degrees either way.
        rotation: f64, (0 to 180);
        /// Augmentation: probability of a mirror image.
        flip: f64, (0 to 1);
        /// Augmentation: between which two the side of the part that is seen lies, of the film's; below 1 enlarges.
        zoom: [f64; 2], (|zoom| (0.1..=zoom[1]).contains(&zoom[0]) && zoom[1] <= 10.0, "two numbers from 0.1 to 10, the smaller first, such as [0.7, 1.05]");
        /// Augmentation: width by height stretched by up to e to the power of this, either way.
        aspect: f64, (0 to 2);
        /// Augmentation: moved by up to this part of the side, along each axis.
        shift: f64, (0 to 1);
        /// Augmentation: how the geometry finds its pixels; rotation alone with nearest is torchvision's RandomRotation.
        interpolation: Interpolation, (any "nearest or bilinear");
        /// Augmentation: resolution reduced by a factor of up to this, and the film enlarged again; 0 is off.
        downsample: f64, (|factor| *factor == 0.0 || (1.0..=32.0).contains(factor), "0 or a number from 1 to 32");
        /// Augmentation: probability of that.
        downsample_p: f64, (0 to 1);
        /// Augmentation: unsharp masking by up to this.
        sharpen: f64, (0 to 20);
        /// Augmentation: probability of that.
        sharpen_p: f64, (0 to 1);
        /// Augmentation: CLAHE on 8 by 8 tiles, each channel by itself, with a clip limit of 1 up to this; 0 is off.
        clahe: f64, (|limit| *limit == 0.0 || (1.0..=64.0).contains(limit), "0 or a number from 1 to 64");
        /// Augmentation: probability of that.
        clahe_p: f64, (0 to 1);
        /// Augmentation: probability of a histogram equalised as by Pillow's ImageOps.equalize.
        equalize_p: f64, (0 to 1);
        /// Augmentation: values to the power of up to e to this, either way.
        gamma: f64, (0 to 3);
        /// Augmentation: distances from the film's mean by up to e to the power of this, either way.
        contrast: f64, (0 to 3);
        /// Augmentation: values brighter or darker by up to this part.
        brightness: f64, (0 to 1);
        /// Augmentation: noise of a standard deviation of up to so many of the 255 levels.
        noise: f64, (0 to 128);
        /// Augmentation: saved as JPEG and opened again, of a quality from this to 95, after the noise; 0 is off.
        jpeg: u8, (|quality| *quality <= Augment::BEST_JPEG, "0 or a quality from 1 to 95");
        /// Augmentation: probability of that.
        jpeg_p: f64, (0 to 1);
        /// Augmentation: probability of a black rectangle, as torchvision's RandomErasing.
        erase_p: f64, (0 to 1);
    }
}

/// The name before the columns of a table.
pub(super) const COLUMNS: &str = "columns";
/// What a column may be called.
const COLUMN: &str = "\"auto\" for names in use, or a column's name";

/// The key that sets all of `augment.FIELD` to a preset.
pub(super) const PRESET: &str = "augment";

/// The presets, in words.
pub(super) const PRESETS: &str = "none, notebook, robust or strong";

/// The part of a key `lr.PART`.
fn part(key: &str) -> Option<&str> {
    let bare = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    key.strip_prefix("lr.").filter(|part| !part.is_empty() && part.chars().all(bare))
}

/// Which values a key takes.
pub(super) fn allowed(key: &str) -> &'static str {
    if key == PRESET {
        return PRESETS;
    }
    if part(key).is_some() {
        return "a number above 0";
    }
    KEYS.iter().find(|known| known.name == key).map_or("", |key| key.allowed)
}

pub(super) fn bad_value(key: &str, value: impl ToString, allowed: impl Into<String>) -> RecipeError {
    RecipeError::Value { key: key.to_owned(), value: value.to_string(), allowed: allowed.into() }
}

fn convert<T: DeserializeOwned>(key: &str, value: &toml::Value, allowed: &str) -> Result<T, RecipeError> {
    value.clone().try_into().map_err(|_| bad_value(key, value, allowed))
}

fn unknown(key: &str) -> RecipeError {
    RecipeError::UnknownKey { key: key.to_owned() }
}
