#!/usr/bin/env bash
# Makes docs/notebook.md and its pictures by running every command that the page shows, on synthetic films.
#
#   docs/notebook/make.sh PROGRAM           writes the page and the pictures anew
#   docs/notebook/make.sh PROGRAM --check   makes them elsewhere, and fails where they are not what the page shows:
#                                           other words, or a picture that is absent or no picture
#
# Figures differ between processors and clocks, so the check compares words. It needs the program and no network.
set -euo pipefail

program=$(realpath "${1:?the lungfish program, such as target/release/lungfish}")
mode=${2:-write}
docs=$(realpath "$(dirname "$0")/..")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/notebook"
ln -s "$program" "$work/bin/lungfish"
export PATH="$work/bin:$PATH" NO_COLOR=1 LC_ALL=C
# Whatever the user of this script has cached or set is no part of the page.
export TORCH_HOME="$work/torch"
page=$work/notebook.md
largest_picture=$((700 * 1024))

# text: what stands on standard input, as it is.
text() { cat >>"$page"; }

# block: a console block of what stands on standard input; the scratch folder is nobody's business.
block() {
    {
        echo '```console'
        # No blanks at the ends of lines, no empty lines at the end.
        sed -e "s|$work/torch|~/.cache/torch|g" -e 's/[[:space:]]*$//' | sed -e ':a' -e '/^\n*$/{$d;N;ba' -e '}'
        printf '```\n\n'
    } >>"$page"
}

# run COMMANDS [TRIM...]: runs commands that have to succeed, a line each, and shows what they say, trimmed.
run() {
    local command=${1//$'\n'/$'\n$ '} said
    said=$(cd "$work" && eval "set -e; $1" 2>&1) || { printf '%s\n%s\n' "$ $command" "$said" >&2; exit 1; }
    shift
    [ $# -gt 0 ] || set -- cat
    { printf '$ %s\n' "$command"; [ -z "$said" ] || printf '%s\n' "$said" | "$@"; } | block
}

# refused COMMAND: runs a command that has to be refused, with exit status 1, and shows the refusal.
refused() {
    local command=$1 said status=0
    said=$(cd "$work" && eval "$command" 2>&1) || status=$?
    [ "$status" = 1 ] || { printf '%s\n%s\nexit status %s, not 1\n' "$ $command" "$said" "$status" >&2; exit 1; }
    printf '$ %s\n%s\n' "$command" "$said" | block
}

# picture FILE WIDTH WHAT: puts a picture that a command wrote on the page.
picture() {
    cp "$work/$1" "$work/notebook/"
    printf '<img src="notebook/%s" width="%s" alt="%s">\n\n' "$(basename "$1")" "$2" "$3" >>"$page"
}

# shown LINES: the lines of the training that a sed program prints, under its command.
shown() { { printf '$ %s\n' "$train"; sed -n "$1" "$work/train.txt"; } | block; }

# closing N: the last lines of a long output.
closing() { echo '...'; tail -n "$1"; }

text <<'END'
# The notebook, cell by cell

The well-known PyTorch notebook fine-tunes ResNet-34 on the Kermany chest X-rays. Here is each of its cells, the command
of lungfish that does its work, and what comes out. [notebook/make.sh](notebook/make.sh) made this page by running every
command on it; no figure and no picture was put in by hand.

**The films on this page are synthetic, drawn by the program**, so that it can be published: the metrics say that the commands
work, and nothing about lungs. With the real films the first command is another, and the others stay as they are. `...`
stands for lines left out. lungfish is a research tool; what it says is not a diagnosis.

| | the notebook | lungfish |
|-|-|-|
| 1 | [get the data from Kaggle](#1-get-the-data) | `lungfish fetch pneumonia` |
| 2 | [explore it](#2-explore) | `lungfish explore` |
| 3 | [transforms](#3-transforms) | `lungfish recipe` |
| 4 | [data sets and loaders](#4-data-sets-and-loaders) | `lungfish train` |
| 5 | [`imshow`, `raw_imshow` of a batch](#5-show-a-batch) | `lungfish preview` |
| 6 | [load a pretrained ResNet-34, replace its head](#6-the-network) | `lungfish summary` |
| 7 | [is there a GPU?](#7-is-there-a-gpu) | `lungfish doctor` |
| 8 | [train the head](#8-train-the-head) | `lungfish train --frozen-epochs N` |
| 9 | [unfreeze and train on](#9-unfreeze-and-train-on) | `lungfish train --epochs N` |
| 10 | [test](#10-test) | `lungfish test` |
| 11 | [save and load a checkpoint](#11-save-and-load) | `best.safetensors`, `lungfish train --resume` |
| 12 | [show predictions on a grid](#12-predictions-on-a-grid) | `lungfish test` |
| 13 | [`view_classify` one film](#13-one-film) | `lungfish predict --plot` |

[Where lungfish differs on purpose](#where-lungfish-differs-on-purpose) is said at the end.

## 1. Get the data

*The notebook:* installs Kaggle's client, copies `kaggle.json`, downloads and unzips `paultimothymooney/chest-xray-pneumonia`.

*Here:* `lungfish fetch pneumonia` does that: no client, no account needed, a cut download goes on where it was, and the
archive is verified and unpacked with care. It is the one command of this page that needs a network, which this page did
without; so this is what it says then, and the films are synthetic instead.

END
refused 'LUNGFISH_OFFLINE=1 lungfish fetch pneumonia --out chest_xray'
run 'lungfish synth --out chest_xray --films 360'

text <<'END'
## 2. Explore

*The notebook:* counts the files of each folder, opens some, plots.

*Here:* every film is read once; sizes, kinds, patients, copies and bad files are counted.

END
run 'lungfish explore chest_xray --out pictures'
picture pictures/explore.png 800 'Bars of films by class and split, a scatter of image sizes, and a histogram of intensity for each class'

text <<'END'
## 3. Transforms

*The notebook:* `Resize(224)`, `CenterCrop(224)`, `RandomRotation(20)`, `RandomHorizontalFlip()`, `ToTensor()`, `Normalize(mean, std)`.

*Here:* `--set augment=notebook` is the same, pixel for pixel as torchvision does it on Pillow's images. The default, `robust`,
goes further: it also breaks the traces of how a film was taken, which give its class away and are others in the next
hospital. All are keys of the recipe, of which these are a few; `--set KEY=VALUE` changes any. Resize, crop and normalisation
are in the model file, so that predicting cannot use others.

END
run "lungfish recipe | grep -B 1 -E '^(fit|image_size|augment.rotation|augment.zoom|augment.downsample) ='" grep -v '^--$'

text <<'END'
## 4. Data sets and loaders

*The notebook:* `ImageFolder` and `DataLoader` for `train`, `val` and `test`, and a print of the data set.

*Here:* `lungfish train` reads the same folders (`chest_xray/{train,val,test}/{CLASS}/*`) and prints the same. No
patient is on two splits. A `val` of sixteen films, as the Kermany set has, is too small to judge by: it joins `train`,
and a new one is carved out of `train` by patient. The split is kept in `run/split.csv`. The notebook computes in single
precision; without `precision=fp32` it would be bf16 where the processor has it.

END
train='lungfish train --data chest_xray --out run --batch 16 --frozen-epochs 6 --epochs 4 --set frozen_lr=5e-4 --set lr=3e-4 --set precision=fp32'
(cd "$work" && eval "$train") >"$work/train.txt" 2>&1 || { cat "$work/train.txt" >&2; exit 1; }
shown '/^Weights/,/^Dataset val/{s/^Dataset val/.../;p;}'

text <<'END'
## 5. Show a batch

*The notebook:* `raw_imshow` of a batch as it lies on disk, `imshow` of a batch as the network gets it.

*Here:* a film as the network sees it, with all steps of a chance alteration together, and with each by itself, by the very
code that trains. Without `--augmented`: as it lies in its file, beside its square.

END
run 'lungfish preview --data chest_xray --augmented --films 3'
picture preview.png 800 'Three films: as the network sees them, altered by all steps together, and by each step'

text <<'END'
## 6. The network

*The notebook:* `models.resnet34(pretrained=True)`, `requires_grad = False` for every parameter, then a new
`fc`: `Linear(512, 256)`, `ReLU`, `Linear(256, 2)`, `LogSoftmax`; and a print of the model.

*Here:* `--arch resnet34` is that network, with that head. `lungfish fetch weights resnet34` gets torchvision's weights
into torch hub's own folder. 131,842 parameters are trainable while the rest is frozen, as in the notebook.

END
run 'lungfish summary --arch resnet34 --unfreeze head --depth 2'
text <<'END'
This page goes on with EfficientNet-Lite0, the default, whose ImageNet weights are inside the program: nothing has to be
downloaded, and it is several times as fast. Add `--arch resnet34` to the commands below for the notebook's own.

## 7. Is there a GPU?

*The notebook:* `torch.cuda.is_available()`.

*Here:* `lungfish doctor` says what the machine offers. A program that is built with `--features gpu` tries it and takes the faster, and
`--device` decides for any command ([docs/gpu.md](gpu.md)); this one is not.

END
run "lungfish doctor | grep -E '^(gpu|device) '"

text <<'END'
## 8. Train the head

*The notebook:* `train(model, criterion, optimizer, scheduler, epochs)` with the layers frozen.

*Here:* the same command that [said what it loads](#4-data-sets-and-loaders) goes on with this. What is frozen is computed
once for each view of a film, so these epochs take a moment. A training that is stopped, at any moment and by whatever
means, goes on with `lungfish train --out run --resume` to the very same weights.

END
shown '1s/.*/.../p;/in frozen model/,/in unfrozen model/{s/.*in unfrozen model.*/.../;p;}'

text <<'END'
## 9. Unfreeze and train on

*The notebook:* `requires_grad = True` for every parameter, a smaller learning rate, `train(...)` once more.

*Here:* the second phase of the same run (`--epochs`), from the best of the first; `--unfreeze layer4` or
`--unfreeze stage7,top` unfreezes by name. The first epoch after unfreezing can be worse than the start, as here, where
films are few: the statistics of batch normalisation move first. Each epoch is validated on the films as they are and on
augmented views of them, and the epoch with the lowest mean of both losses is kept.

END
shown '1s/.*/.../p;/in unfrozen model/,$p'

text <<'END'
## 10. Test

*The notebook:* a loop over the test loader that counts.

*Here:* the metrics, one line a film in a CSV file, and pictures (each as PNG and as SVG). Films that the model was
trained on are recognised and refused.

END
run 'lungfish test --model run --data chest_xray --out results'
picture results/learning-curves.png 800 'Loss, accuracy and AUC by epoch, both phases marked'
picture results/confusion-matrix-test.png 480 'Confusion matrix with counts and shares'
picture results/roc-test.png 480 'ROC curve'
picture results/precision-recall-test.png 480 'Precision-recall curve'
picture results/worst-errors-test.png 800 'The films with the highest loss'

text <<'END'
## 11. Save and load

*The notebook:* `torch.save` of a dictionary (`model.state_dict()`, `class_to_idx`, `epochs`, ...), and a function that loads it.

*Here:* nothing to do. The run folder holds the model of the best epoch, with classes and preprocessing inside, and all
that going on needs.

END
run 'ls run'
run 'lungfish train --out run --resume' closing 3
text <<'END'
The model file alone is enough to predict, anywhere. In PyTorch, `safetensors.torch.load_file("run/best.safetensors")`
gives its state dict under torchvision's names (the Lite networks: those of `efficientnet_lite_pytorch`). The other way round,
`--weights 90_checkpoint.pth --arch resnet34` starts from a checkpoint that the notebook saved; its head comes along where
its classes have the same names.

## 12. Predictions on a grid

*The notebook:* a grid of test films titled with the predicted and the true class.

*Here:* one of the pictures that `lungfish test` makes: right and wrong are marked, not by colour alone. These are a few
films in a folder of their own, to keep this page small; a folder that a model does not know is scored whole.

END
few='for class in NORMAL PNEUMONIA; do mkdir -p few/$class; cp $(ls chest_xray/test/$class/* | head -n 3) few/$class; done'
run "$few
lungfish test --model run --data few --out few-results" closing 4
picture few-results/films-test.png 800 'A grid of films with their true class, predicted class and probability'

text <<'END'
## 13. One film

*The notebook:* `predict(path, model)` and `view_classify(image, probabilities)`.

*Here:* the same for one film; for many, one picture each in a folder.

END
film=$(cd "$work" && find chest_xray/test/PNEUMONIA -type f | sort | head -n 1)
run "lungfish predict --model run $film --plot film.png"
picture film.png 700 'The film beside bars of the probability of each class'

text <<'END'
## Where lungfish differs on purpose

| the notebook | lungfish | why |
|-|-|-|
| `train()` calls `model.train()` while the layers are frozen, so the running mean and variance of their batch normalisation drift | a frozen part keeps its statistics | "frozen" should mean it; the drifting statistics follow whatever batches came last |
| judges each epoch by the 16 films of `val` | carves a validation split of 10 % out of `train`, by patient | one film of 16 is six points of accuracy: the epoch kept would be chosen by chance |
| `scheduler.step()` at the top of an epoch, before the optimiser has moved | the schedule moves after the epoch | stepped first, the first learning rate is never used, as PyTorch itself warns |
| takes the splits as the folders have them | no patient is on two splits: films that would be leave `train`, counted | a network can recognise a patient |
| a corrupt file ends the training when the loader comes to it | every film is read before the first epoch, the bad ones are named and left out (`--strict` makes them an error) | a night of training is not lost |
| three equal channels are decoded, stored and augmented | one gray channel, made three at the network's door | the same values for a third of the memory |
| a checkpoint is a pickle, which can run code when it is opened | safetensors, and a reader of pickles that runs nothing | a model from somebody else is data |
| accuracy | accuracy, AUC, precision, recall and F1 of each class, curves, the worst errors by name | on this data set accuracy alone hides that what is lost is specificity |
END

# What every picture has to be, read by the program itself: it predicts on films only if it can decode them.
for file in "$work"/notebook/*.png; do
    size=$(stat -c %s "$file")
    [ "$size" -gt 1000 ] || { echo "$file has $size bytes" >&2; exit 1; }
    # Elsewhere there can be more errors to draw; what is published is small.
    [ "$mode" = --check ] || [ "$size" -le "$largest_picture" ] || { echo "$file has $size bytes" >&2; exit 1; }
done
lungfish predict --model "$work/run" --json "$work"/notebook/*.png >"$work/opened.jsonl"
[ "$(wc -l <"$work/opened.jsonl")" = "$(ls "$work"/notebook/*.png | wc -l)" ]

# words FILE: a page without what differs between two machines: figures, times, the width of columns, the GPU.
words() {
    sed -E -e '/^gpu |NVIDIA/d' -e '/on augmented views of its validation films/d' -e 's/([0-9]+[hm] )*[0-9]+s\b/T/g' -e 's/[0-9][0-9,]*(\.[0-9]+)?/N/g' \
        -e 's/(un)?frozen phase, epoch/phase, epoch/' -e 's/[[:space:]]+/ /g' "$1"
}

if [ "$mode" = --check ]; then
    diff <(words "$docs/notebook.md") <(words "$page") || {
        echo "docs/notebook.md is not what the commands say now: docs/notebook/make.sh PROGRAM writes it anew" >&2
        exit 1
    }
    diff <(cd "$docs/notebook" && ls -- *.png) <(cd "$work/notebook" && ls -- *.png)
else
    rm -f "$docs"/notebook/*.png
    cp "$work"/notebook/*.png "$docs/notebook/"
    cp "$page" "$docs/notebook.md"
fi
