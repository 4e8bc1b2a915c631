//! What stands in an address, taken out of it; what does not fit is a problem with a sentence, too.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// What stands after the question mark.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(asked)) => Ok(Asked(asked)),
            Err(e) => Err(Problem::bad(e.body_text())),
        }
    }
}

/// The number of a film.
pub(crate) struct Index(pub(crate) usize);

impl<S: Send + Sync> FromRequestParts<S> for Index {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(index)) => Ok(Index(index)),
            Err(e) => Err(Problem::bad(format!("that is no number of a film: {}", e.body_text()))),
        }
    }
}
