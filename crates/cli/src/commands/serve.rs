//! `lungfish serve`: the local page.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use lungfish::{PointRule, PrecisionRule};
use lungfish_serve::{ServeRequest, Started};

use crate::{NOT_A_DIAGNOSIS, flags, print, stop};

/// Show a page to drop films on, with what models say of them
///
/// Serves one page, and a small REST beside it, at an address of this machine: films are dropped, pasted or chosen (JPEG, PNG, TIFF,
/// DICOM), and the page shows what the model says, how sure it is by its own test, what it read in the film, and whether the film is
/// unlike those of the training. The test of a run and a training that goes on can be looked at too. With --data and --out labels can be doubted and a head be trained
/// without them, or with films that are added to classes (these alone are kept, in --out), and the films of --data that a network sees
/// as most like one are shown beside it. Nothing else that is sent is written
/// to disk or kept after the answer, and nothing leaves the machine; the page loads nothing from elsewhere. Beyond this machine
/// (--host) every call needs the token that stands in the printed address. Ctrl-C ends it. This is a research tool; what it says is
/// not a diagnosis.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  lungfish serve --model run --open
  lungfish serve --model run-a run-b --port 8091
  lungfish serve --model run --data chest_xray --out taught --open
  lungfish serve --watch run
  curl --data-binary @film.jpeg http://127.0.0.1:8090/api/predict")]
pub struct Args {
    /// Run folders or model files; the first one is asked where none is named
    #[arg(long, value_name = "MODEL", required_unless_present = "watch", num_args = 1.., value_hint = clap::ValueHint::AnyPath)]
    model: Vec<PathBuf>,
    /// Run folders of trainings that go on, which may have no model yet; each can be asked once its training has ended
    #[arg(long, value_name = "RUN", num_args = 1.., value_hint = clap::ValueHint::DirPath)]
    watch: Vec<PathBuf>,
    /// Films of classes whose labels may be doubted on the page, that a head may learn from, and among which those like a film are
    /// found; needs --out and --model
    #[arg(long, value_name = "DIR", requires_all = ["out", "model"], value_hint = clap::ValueHint::DirPath)]
    data: Option<PathBuf>,
    /// Folder for corrections.csv, which are proposals, for films that are added to classes (added/), and for what is learnt, a run
    /// folder each; films of --data are never touched
    #[arg(long, value_name = "DIR", requires = "data", value_hint = clap::ValueHint::DirPath)]
    out: Option<PathBuf>,
    /// The address to listen at; beyond this machine a token is needed
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port; 0 takes one that is free
    #[arg(long, value_name = "PORT", default_value_t = 8090)]
    port: u16,
    /// Where films are called: youden, max-accuracy, sensitivity=0.95, specificity=0.9, or a probability [default: each model's own]
    #[arg(long, value_name = "POINT")]
    at: Option<PointRule>,
    /// In which precision networks compute: fp32, bf16, f16 (on a GPU), or auto, what trained each model
    #[arg(long, default_value = "auto")]
    #[arg(value_parser = flags::precision())]
    precision: PrecisionRule,
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut request = ServeRequest::new(&args.model);
    (request.host, request.port, request.at) = (args.host, args.port, args.at);
    request.precision = args.precision;
    if let Some(missing) = args.watch.iter().find(|run| !run.is_dir()) {
        anyhow::bail!("{} is no run folder: it is not there, or no folder", print::path(missing));
    }
    request.watch.clone_from(&args.watch);
    request.teach = args.data.clone().zip(args.out.clone());
    let stop = Arc::new(AtomicBool::new(false));
    stop::on_signal(Arc::clone(&stop), || {
        print::err("answering what was asked; once more leaves at once");
    })?;
    lungfish_serve::serve(&request, |started| told(started, args.open), &stop)?;
    Ok(ExitCode::SUCCESS)
}

/// Says where, and opens the page. Nobody to read it is no reason not to serve.
fn told(started: &Started, open: bool) {
    let names: Vec<String> = started.models.iter().map(|name| print::one_line(name)).collect();
    let names = if names.is_empty() { "a training".to_owned() } else { names.join(", ") };
    let _ = print::out(format_args!("Serving {names} at {}", started.url));
    if !started.address.ip().is_loopback() {
        let _ = print::out(
            "Other machines reach it: whoever has this address with its token can ask. The connection is not encrypted.",
        );
    }
    let _ = print::out(format_args!("Ctrl-C ends it. {NOT_A_DIAGNOSIS}"));
    if open && let Err(error) = browse(&started.url) {
        print::err(format_args!("cannot open a browser ({error}): open {} yourself", started.url));
    }
}

fn browse(url: &str) -> std::io::Result<()> {
    let mut command = if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        Command::new("explorer")
    } else {
        Command::new("xdg-open")
    };
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(drop)
}
