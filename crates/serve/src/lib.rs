//! The local page of lungfish, and a small REST beside it.
//!
//! Models are loaded once and asked about films that come as bytes; nothing of a film is written to disk or kept after the answer.
//! (but for those that somebody adds to a class to teach with: `added`).
//! `models` asks them, each on a thread of its own; `runs` knows trainings that are watched; `body` reads what a client sends within
//! bounds of size and time; `films`, `neighbours`, `tested`, `watched`, `proposed`, `added` and `taught` answer, `guard` says who may
//! ask, `counts` counts, `page` has the files of the page, which are part of the program. Nothing here knows flags or prints.
//!
//! ```no_run
//! use std::sync::atomic::AtomicBool;
//!
//! let request = lungfish_serve::ServeRequest::new(["run"]);
//! lungfish_serve::serve(&request, |started| println!("{}", started.url), &AtomicBool::new(false))?;
//! # Ok::<(), lungfish_serve::ServeError>(())
//! ```

#![forbid(unsafe_code)]

mod added;
mod asked;
mod body;
mod connections;
mod counts;
mod films;
mod guard;
mod models;
mod neighbours;
mod openapi;
mod page;
mod problem;
mod proposed;
mod reader;
mod runs;
mod taught;
mod tested;
mod watched;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, middleware};
use lungfish::{PointRule, PrecisionRule};
use lungfish_data::display::escape;
use serde_json::{Value, json};
use tokio::sync::watch;

use body::Room;
use counts::Counts;
use guard::Guard;
use models::Models;
use problem::Problem;
use runs::Runs;
use taught::Teaching;

/// Between two looks at trainings that are watched.
const LOOK: Duration = Duration::from_secs(1);
/// Tenths of a second that a training has to save what it has.
const ENDING: usize = 300;

/// What to serve, and where.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServeRequest {
    /// Run folders and model files.
    pub models: Vec<PathBuf>,
    /// The address to listen at. Beyond this machine every call wants the token.
    pub host: IpAddr,
    /// The port; 0 takes one that is free.
    pub port: u16,
    /// Where films are called; none is each model's own operating point.
    pub at: Option<PointRule>,
    /// In which precision networks compute; `auto` is what trained each.
    pub precision: PrecisionRule,
    /// Films whose labels may be doubted and that a head may learn from, and the folder that what comes of it goes to; none where the
    /// page only looks.
    pub teach: Option<(PathBuf, PathBuf)>,
    /// Run folders of trainings that are watched; they need not be there yet. Each becomes a model when its training has ended.
    pub watch: Vec<PathBuf>,
}

impl ServeRequest {
    /// These models, at port 8090 of this machine alone.
    pub fn new<P: Into<PathBuf>>(models: impl IntoIterator<Item = P>) -> Self {
        let models = models.into_iter().map(Into::into).collect();
        ServeRequest {
            models,
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8090,
            at: None,
            precision: PrecisionRule::Auto,
            teach: None,
            watch: Vec::new(),
        }
    }
}

/// What is being served.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Started {
    /// Where.
    pub address: SocketAddr,
    /// The page's address, with the token in its fragment where a token is wanted.
    pub url: String,
    /// What the models are called.
    pub models: Vec<String>,
}

/// Why nothing is served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// A model that cannot be opened.
    #[error(transparent)]
    Model(#[from] lungfish::Error),
    /// No model is named, and no training to watch.
    #[error("there is no model to serve, and no training to watch")]
    NoModel,
    /// The folder for what is learnt cannot be made.
    #[error("cannot create {}: {source}", escape(folder))]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The address is taken, or is none of this machine.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The machine gives no threads, or no random numbers.
    #[error("cannot start: {0}")]
    Start(String),
}

/// What every answer can see.
pub(crate) struct App {
    models: Models,
    runs: Runs,
    guard: Guard,
    counts: Counts,
    room: Room,
    teaching: Option<Teaching>,
    /// True once the server is to end: what has no end of its own ends then.
    stopping: watch::Receiver<bool>,
}

/// Serves until `stop` is set; then takes no new connection, answers what was asked, and comes back. `started` is told when the
/// models are loaded and the address is bound.
///
/// # Errors
/// See [`ServeError`].
pub fn serve(request: &ServeRequest, started: impl FnOnce(&Started), stop: &AtomicBool) -> Result<(), ServeError> {
    let (models, runs) = (Models::open(&request.models, request.at, request.precision)?, Runs::new(&request.watch));
    runs.look(&models);
    if request.models.is_empty() && runs.is_empty() {
        return Err(ServeError::NoModel);
    }
    let teaching = match &request.teach {
        Some((data, out)) => Some(Teaching::open(data, out)?),
        None => None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_io()
        .enable_time()
        .build()
        .map_err(|e| ServeError::Start(e.to_string()))?;
    runtime.block_on(async {
        let asked = SocketAddr::new(request.host, request.port);
        let listen = |source| ServeError::Listen { address: asked, source };
        let listener = tokio::net::TcpListener::bind(asked).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let guard = Guard::new(address, teaching.is_some())?;
        let url = guard.url();
        let (end, stopping) = watch::channel(false);
        let names = models.names();
        let app =
            Arc::new(App { models, guard, counts: Counts::default(), room: Room::new(), teaching, stopping, runs });
        started(&Started { address, url, models: names });
        let looking = tokio::spawn(look(Arc::clone(&app)));
        connections::accept(&listener, router(&app), stop, &end).await;
        looking.abort();
        app.models.each().iter().for_each(|model| model.near.end());
        // A training saves what it has at its next step.
        app.stop_teaching();
        for _ in 0..ENDING {
            if !app.teaches() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    })
}

/// Opens the models of trainings that end, as long as the server is there.
async fn look(app: Arc<App>) {
    while !app.runs.is_empty() {
        tokio::time::sleep(LOOK).await;
        let looked = Arc::clone(&app);
        let _ = tokio::task::spawn_blocking(move || looked.runs.look(&looked.models)).await;
    }
}

fn router(app: &Arc<App>) -> Router {
    Router::new()
        .route("/api/health", get(health))
        .route("/api/models", get(models::list))
        .route("/api/predict", post(films::predict))
        .route("/api/explain", post(films::explain))
        .route("/api/neighbours", post(neighbours::neighbours))
        .route("/api/test", get(tested::test))
        .route("/api/test/films/{index}", get(tested::film))
        .route("/api/watch", get(watched::watch))
        .route("/api/data", get(proposed::data))
        .route("/api/data/films", post(added::add))
        .route("/api/data/films/{index}", get(proposed::film).delete(added::take_away))
        .route("/api/corrections", get(proposed::corrections).post(proposed::correct))
        .route("/api/teach", get(taught::listen).post(taught::teach).delete(taught::stop))
        .route("/api/metrics", get(counts::as_json))
        .route("/metrics", get(counts::as_text))
        .route("/openapi.json", get(openapi::document))
        .route("/", get(page::index))
        .route("/{*file}", get(page::file))
        .fallback(|| async { Problem::not_found("there is nothing at this address") })
        .method_not_allowed_fallback(|| async { Problem::method() })
        .layer(middleware::from_fn_with_state(Arc::clone(app), guard::check))
        .with_state(Arc::clone(app))
}

async fn health(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "models": app.models.names().len(),
        "teach": app.teaching.is_some(),
        "notice": "Research, not a diagnosis.",
    }))
}
