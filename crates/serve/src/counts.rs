//! How much was asked and how long it took: `GET /api/metrics`, and for Prometheus `GET /metrics`. Nothing of films or models is in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::App;

/// What is counted apart; everything else is `other`.
const ROUTES: [&str; 11] = [
    "/api/predict",
    "/api/explain",
    "/api/models",
    "/api/test",
    "/api/watch",
    "/api/data",
    "/api/corrections",
    "/api/teach",
    "/api/health",
    "/api/metrics",
    "/metrics",
];
/// Upper ends of the times, milliseconds.
const ENDS: [u64; 9] = [5, 10, 25, 50, 100, 250, 1000, 5000, 30_000];

/// All counts, from 0 at the start.
#[derive(Default)]
pub(crate) struct Counts {
    /// Films that were answered.
    films: AtomicU64,
    routes: [Route; ROUTES.len() + 1],
}

#[derive(Default)]
struct Route {
    /// Answers by the first figure of their status: 2, 3, 4, 5.
    statuses: [AtomicU64; 4],
    /// Those that said that the server is busy.
    busy: AtomicU64,
    /// Answers within each time, and in all.
    within: [AtomicU64; ENDS.len()],
    microseconds: AtomicU64,
}

impl Counts {
    pub(crate) fn film(&self) {
        self.films.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn answered(&self, path: &str, status: StatusCode, took: Duration) {
        let at = ROUTES.iter().position(|route| *route == path).unwrap_or(ROUTES.len());
        let route = &self.routes[at];
        let add = |count: &AtomicU64, more: u64| {
            count.fetch_add(more, Ordering::Relaxed);
        };
        let figure = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        add(&route.statuses[figure], 1);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            add(&route.busy, 1);
        }
        for (within, end) in route.within.iter().zip(ENDS) {
            add(within, u64::from(took.as_micros() <= u128::from(end) * 1000));
        }
        add(&route.microseconds, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    fn each(&self) -> impl Iterator<Item = (&'static str, &Route)> {
        ROUTES.into_iter().chain(["other"]).zip(&self.routes)
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

impl Route {
    fn all(&self) -> u64 {
        self.statuses.iter().map(read).sum()
    }
}

/// `GET /api/metrics`.
pub(crate) async fn as_json(State(app): State<Arc<App>>) -> Json<Value> {
    let route = |(name, route): (&str, &Route)| {
        let [ok, moved, asked_wrongly, failed] = [0, 1, 2, 3].map(|figure| read(&route.statuses[figure]));
        let told = json!({
            "requests": route.all(), "ok": ok, "redirected": moved, "refused": asked_wrongly, "failed": failed,
            "busy": read(&route.busy), "seconds": read(&route.microseconds) as f64 / 1e6,
        });
        (name.to_owned(), told)
    };
    let routes: serde_json::Map<String, Value> = app.counts.each().map(route).collect();
    Json(json!({ "films": read(&app.counts.films), "routes": routes }))
}

/// `GET /metrics`, in the text format of Prometheus.
pub(crate) async fn as_text(State(app): State<Arc<App>>) -> impl IntoResponse {
    let mut text =
        String::from("# HELP lungfish_films_total Films that were answered.\n# TYPE lungfish_films_total counter\n");
    text.push_str(&format!("lungfish_films_total {}\n", read(&app.counts.films)));
    text.push_str(
        "# HELP lungfish_requests_total Requests by route and status.\n# TYPE lungfish_requests_total counter\n",
    );
    for (name, route) in app.counts.each() {
        for (figure, count) in route.statuses.iter().enumerate() {
            let status = figure + 2;
            text.push_str(&format!(
                "lungfish_requests_total{{route=\"{name}\",status=\"{status}xx\"}} {}\n",
                read(count)
            ));
        }
    }
    text.push_str(
        "# HELP lungfish_request_seconds Time to answer, by route.\n# TYPE lungfish_request_seconds histogram\n",
    );
    for (name, route) in app.counts.each() {
        for (within, end) in route.within.iter().zip(ENDS) {
            let end = end as f64 / 1000.0;
            text.push_str(&format!(
                "lungfish_request_seconds_bucket{{route=\"{name}\",le=\"{end}\"}} {}\n",
                read(within)
            ));
        }
        let (all, seconds) = (route.all(), read(&route.microseconds) as f64 / 1e6);
        text.push_str(&format!(
            "lungfish_request_seconds_bucket{{route=\"{name}\",le=\"+Inf\"}} {all}\n\
             lungfish_request_seconds_sum{{route=\"{name}\"}} {seconds}\n\
             lungfish_request_seconds_count{{route=\"{name}\"}} {all}\n"
        ));
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text)
}
