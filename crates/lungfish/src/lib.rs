//! Fine-tune an ImageNet network on chest X-rays: recipe, training, evaluation, prediction, run folder.
