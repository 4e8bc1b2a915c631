//! Predictions with maps of what was read in each film.

use lungfish_data::Task;
use lungfish_data::display::escape;
use lungfish_models::names::did_you_mean;

use super::Predictor;
use crate::Error;
use crate::cam::Cam;

impl Predictor {
    /// The same, which tells of each film which places raised and lowered a score. Films are read once and computed twice then.
    ///
    /// # Errors
    /// Memory that is not there, an ensemble whose networks have maps of different sizes.
    pub fn with_maps(mut self) -> Result<Self, Error> {
        (self.cam, self.maps) = (Some(self.cam()?), true);
        self.scorer.ask_squares();
        Ok(self)
    }

    /// The same, whose maps are of this class or label on every film.
    ///
    /// # Errors
    /// As [`Predictor::with_maps`]; a class or label that the model does not know.
    pub fn with_maps_of(self, name: &str) -> Result<Self, Error> {
        let class = self.class_of(name)?;
        let mut mapping = self.with_maps()?;
        if let Some(cam) = &mut mapping.cam {
            cam.ask(class);
        }
        Ok(mapping)
    }

    /// The index of a class or label.
    fn class_of(&self, name: &str) -> Result<usize, Error> {
        let info = self.info();
        let kind = if info.task == Task::OneOf { "class" } else { "label" };
        info.classes.iter().position(|known| known == name).ok_or_else(|| {
            Error::refused(format!(
                "there is no map of the {kind} {}{}: {} knows {}",
                escape(name),
                escape(did_you_mean(name, info.classes.iter().map(String::as_str))),
                escape(self.file()),
                escape(info.classes.join(", "))
            ))
        })
    }

    /// What makes maps, apart from this.
    pub(crate) fn cam(&self) -> Result<Cam, Error> {
        Cam::new(&self.model, self.model.device())
    }
}
