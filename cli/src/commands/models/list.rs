//! `latentbit models list` and `latentbit models path`.

use clap::Args;
use latentbit_codec::{Bundle, Device, Dtype};
use serde::Serialize;

use super::report::{ModelReport, size};
use crate::args::headings;
use crate::exit::{Exit, message, usage};
use crate::models::{BUILT_IN, Cache, Kind};
use crate::report::{self, BundleReport};

/// Options of `models list`.
#[derive(Debug, Args)]
pub struct ModelsListArgs {
    /// Print JSON.
    #[arg(long, help_heading = headings::GENERAL)]
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct ModelsReport<'a> {
    schema: &'static str,
    folder: String,
    /// The bundle inside the program, if there is one.
    built_in: Option<BundleReport>,
    models: Vec<ModelReport<'a>>,
    problems: Vec<Problem<'a>>,
}

#[derive(Debug, Serialize)]
struct Problem<'a> {
    name: &'a str,
    message: String,
}

/// Runs the command.
pub fn run(args: &ModelsListArgs) -> anyhow::Result<Exit> {
    let cache = Cache::from_env()?;
    let entries = cache.list()?;
    let mut report = ModelsReport {
        schema: "latentbit.models/1",
        folder: cache.root().display().to_string(),
        built_in: built_in(),
        models: Vec::new(),
        problems: Vec::new(),
    };
    for entry in &entries {
        match &entry.record {
            Ok(record) => report.models.push(ModelReport::new(&cache, &entry.name, record)),
            Err(error) => {
                let message = message(error);
                tracing::warn!("{message}");
                let name = entry.name.as_str();
                report.problems.push(Problem { name, message });
            }
        }
    }
    match args.json {
        true => report::print(&report, false)?,
        false => report::print_text(&text(&report))?,
    }
    Ok(Exit::Success)
}

fn built_in() -> Option<BundleReport> {
    match Bundle::embedded(&Device::Cpu, Dtype::F32) {
        Ok(bundle) => Some((&bundle.id).into()),
        Err(error) => {
            tracing::debug!("the built-in model: {error}");
            None
        }
    }
}

fn text(report: &ModelsReport<'_>) -> String {
    let mut rows = vec![["NAME", "KIND", "SIZE", "FROM"].map(str::to_owned)];
    if let Some(bundle) = &report.built_in {
        let from = format!("{}, inside the program", bundle.name);
        rows.push([
            BUILT_IN.to_owned(),
            Kind::Bundle.to_string(),
            "-".to_owned(),
            from,
        ]);
    }
    for model in &report.models {
        rows.push([
            model.name.to_owned(),
            model.kind.to_string(),
            size(model.bytes),
            model.source.to_string(),
        ]);
    }
    for problem in &report.problems {
        rows.push([problem.name, "damaged", "-", "-"].map(str::to_owned));
    }
    table(&rows)
}

fn table(rows: &[[String; 4]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let (name, kind, bytes) = (width(0), width(1), width(2));
    let line = |[a, b, c, d]: &[String; 4]| {
        format!("{a:name$}  {b:kind$}  {c:>bytes$}  {d}")
            .trim_end()
            .to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Options of `models path`.
#[derive(Debug, Args)]
pub struct ModelsPathArgs {
    /// Name of the model.
    pub name: String,
}

/// Runs `models path`.
pub fn path(args: &ModelsPathArgs) -> anyhow::Result<Exit> {
    if args.name == BUILT_IN {
        return usage(format!(
            "{BUILT_IN} is inside the program and has no path; it is used without --model"
        ));
    }
    let cache = Cache::from_env()?;
    let (name, record) = cache.find(&args.name)?;
    let path = record.path(&cache.folder(&name));
    report::print_path(&path)?;
    Ok(Exit::Success)
}
