//! The `lungfish` command: flags in, sentences out. What it does is the library's work.

mod commands;
mod flags;
mod observer;
mod print;
mod schema;
mod stop;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use lungfish::Device;

use commands::{
    audit, bench, calibrate, completions, demo, doctor, ensemble, explore, fetch, import, man, predict, preview,
    recipe, report, serve, summary, synth, test, train, tune,
};

/// Said wherever a metric could be taken for a finding.
const NOT_A_DIAGNOSIS: &str = "This is a research tool; what it says is not a diagnosis.";

/// Fine-tune an ImageNet network on chest X-rays, test it, predict with it.
///
/// This is a research tool; what it says is not a diagnosis.
#[derive(Parser)]
#[command(name = "lungfish", version, arg_required_else_help = true)]
#[command(after_help = AFTER_HELP, after_long_help = format!("{AFTER_HELP}\n\n{ENVIRONMENT}"))]
struct Cli {
    /// Threads to compute with [default: one a core]; the result is the same for any number
    #[arg(long, global = true, value_name = "N", display_order = 999)]
    #[arg(value_parser = flags::whole(1..=MOST_THREADS), allow_negative_numbers = true)]
    threads: Option<u16>,
    /// Where to compute: auto, cpu, or a GPU as doctor lists them: gpu (the first), gpu:N, vulkan:N, metal:N, dx12:N
    #[arg(
        long,
        global = true,
        value_name = "DEVICE",
        display_order = 999,
        default_value = "auto",
        hide_default_value = true,
        env = "LUNGFISH_DEVICE",
        hide_env = true
    )]
    device: Device,
    #[command(subcommand)]
    command: Command,
}

/// More than any machine has cores; tens of thousands would take minutes to start.
const MOST_THREADS: u16 = 1024;

const AFTER_HELP: &str = "\
Example, the whole job on synthetic films:
  lungfish demo

Example, on a folder of films (train/NORMAL/*.jpeg, train/PNEUMONIA/*.jpeg, ...):
  lungfish fetch pneumonia
  lungfish train --data chest_xray --out run
  lungfish test --model run --data chest_xray
  lungfish predict --model run some-film.jpeg
  lungfish report run

Exit status:
  0    done
  1    could not; the last line on standard error says why
  2    wrong usage
  130  stopped on request (Ctrl-C); what was done is saved and can be gone on with";

/// Every variable that changes what the program does; a test holds it against the source.
const ENVIRONMENT: &str = "\
Environment:
  NO_COLOR, CLICOLOR=0   no colours
  CLICOLOR_FORCE=1       colours where no terminal is, too
  TORCH_HOME             torch hub's folder; its weights lie in hub/checkpoints
  XDG_CACHE_HOME         without TORCH_HOME, that folder is torch in here; how fast a
                         GPU was is kept in here, in lungfish/devices.json
                         [default: ~/.cache]
  LUNGFISH_OFFLINE=1     nothing is fetched
  HTTPS_PROXY, NO_PROXY  the proxy to fetch through, and the hosts that need none;
                         without HTTPS_PROXY, ALL_PROXY does
  SSL_CERT_FILE          certificates to trust (PEM) instead of Mozilla's, for a
                         proxy that looks into connections
  KAGGLE_API_TOKEN       Kaggle's access token, or a file with it
                         [default: ~/.kaggle/access_token]
  KAGGLE_USERNAME, KAGGLE_KEY
                         without a token, Kaggle's user name and key
  KAGGLE_CONFIG_DIR      without those, the folder of kaggle.json
                         [default: ~/.kaggle]
  LUNGFISH_KAGGLE_URL, LUNGFISH_TORCH_HUB_URL
                         other addresses to fetch films and weights from: HTTPS, or
                         HTTP on this machine
                         [default: https://www.kaggle.com,
                         https://download.pytorch.org/models]
  LUNGFISH_DEVICE        where to compute without --device
  LUNGFISH_SIMD          the vector instructions to compute with, where the best are
                         not wanted: avx512, avx2+fma, neon or scalar
  LUNGFISH_KERNELS=plain compute without the fast algorithms, to compare with them; =vectors without tiles (AMX)";

#[derive(Subcommand)]
enum Command {
    Demo(demo::Args),
    Fetch(fetch::Args),
    Explore(explore::Args),
    Audit(audit::Args),
    Preview(preview::Args),
    Train(train::Args),
    Tune(tune::Args),
    Test(test::Args),
    Predict(predict::Args),
    Ensemble(ensemble::Args),
    Import(import::Args),
    Calibrate(calibrate::Args),
    Report(report::Args),
    Serve(serve::Args),
    Summary(summary::Args),
    Synth(synth::Args),
    Recipe(recipe::Args),
    Bench(bench::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// The commands and their flags, for what is made from them.
fn definition() -> clap::Command {
    Cli::command()
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    stop::survive_file_limits();
    match run(cli) {
        Ok(code) => code,
        Err(error) => print::fail(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    lungfish_kernels::machine::check()?;
    let threads = cli.threads.map(usize::from);
    if let Some(threads) = threads {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build_global()
            .map_err(|error| anyhow::anyhow!("cannot start {threads} threads: {error}"))?;
    }
    lungfish::set_default_device(cli.device)?;
    match cli.command {
        Command::Demo(args) => demo::run(&args, threads),
        Command::Fetch(args) => fetch::run(&args),
        Command::Explore(args) => explore::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Preview(args) => preview::run(&args),
        Command::Train(args) => train::run(&args, threads),
        Command::Tune(args) => tune::run(&args, threads),
        Command::Test(args) => test::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Ensemble(args) => ensemble::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Summary(args) => summary::run(&args),
        Command::Synth(args) => synth::run(&args),
        Command::Recipe(args) => recipe::run(&args),
        Command::Bench(args) => bench::run(&args, threads),
        Command::Doctor(args) => doctor::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn flags_do_not_contradict_each_other() {
        super::definition().debug_assert();
    }
}
