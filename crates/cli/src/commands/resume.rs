use crate::args::RunArgs;
use clap::ValueEnum;
use std::path::Path;

/// Returns the command that resumes a run in a folder, for a shell in the current folder, with all
/// options that the run was started with.
///
/// `program` is the name by which a shell has found this program.
pub fn resume_command(program: &str, args: &RunArgs, verbose: u8, out: &Path) -> String {
    let RunArgs {
        recipe,
        device,
        seed,
        out: _,
        data_dir,
        resume: _,
        overrides,
        progress,
        wide,
    } = args;
    // A path that begins like an option is relative to the current folder.
    let path = |path: &Path| match path.to_string_lossy() {
        text if text.starts_with('-') => format!("./{text}"),
        text => text.into_owned(),
    };
    let mut words = vec![program.to_string(), "run".into(), path(recipe)];
    let mut option = |name: &str, value: Option<String>| match value {
        Some(value) if value.starts_with('-') => words.push(format!("--{name}={value}")),
        Some(value) => words.extend([format!("--{name}"), value]),
        None => {}
    };
    option("seed", seed.map(|seed| seed.to_string()));
    for change in overrides {
        option("set", Some(change.clone()));
    }
    option("device", (device != "flex").then(|| device.clone()));
    option("data-dir", data_dir.as_deref().map(path));
    let progress = progress.to_possible_value();
    let progress = progress.map(|mode| mode.get_name().to_string());
    option("progress", progress.filter(|mode| mode != "auto"));
    let flags = [
        (*wide).then(|| "--wide".to_string()),
        (verbose > 0).then(|| format!("-{}", "v".repeat(verbose.into()))),
    ];
    words.extend(flags.into_iter().flatten());
    words.extend(["--resume".into(), "--out".into(), path(out)]);
    shell_words::join(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser;

    fn parsed(words: &[String]) -> (RunArgs, u8) {
        let args = Args::try_parse_from(words).unwrap();
        match args.command {
            Command::Run(run) => (run, args.verbose),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_has_every_option_and_survives_the_shell() {
        let words = "burn-distill|run|my recipe.toml|--seed|3|--set|loss.0={kind=\"kd\"}|--set|a=it's\
                     |--device|cuda|--data-dir|/d a|--progress|lines|--wide|-vv";
        let words: Vec<String> = words.split('|').map(String::from).collect();
        let (args, verbose) = parsed(&words);

        let command = resume_command("burn-distill", &args, verbose, Path::new("runs/my run"));

        let again = shell_words::split(&command).unwrap();
        let (resumed, verbose) = parsed(&again);
        assert_eq!(verbose, 2);
        assert!(resumed.resume);
        let expected = RunArgs {
            resume: true,
            out: Some("runs/my run".into()),
            ..args
        };
        assert_eq!(format!("{resumed:?}"), format!("{expected:?}"));
    }

    #[test]
    fn values_that_begin_like_options_are_read_as_values() {
        let words = "burn-distill|run|--set=-a=1|--device=-d|--data-dir=-data|--|-my.toml";
        let words: Vec<String> = words.split('|').map(String::from).collect();
        let (args, verbose) = parsed(&words);

        let command = resume_command("burn-distill", &args, verbose, Path::new("-dash"));

        let (resumed, _) = parsed(&shell_words::split(&command).unwrap());
        let expected = RunArgs {
            recipe: "./-my.toml".into(),
            data_dir: Some("./-data".into()),
            resume: true,
            out: Some("./-dash".into()),
            ..args
        };
        assert_eq!(format!("{resumed:?}"), format!("{expected:?}"));
    }

    #[test]
    fn options_that_were_not_given_are_left_out() {
        let words = ["burn-distill", "run", "a.toml", "--device", "flex"];
        let (args, verbose) = parsed(&words.map(String::from));

        assert_eq!(
            resume_command("burn-distill", &args, verbose, Path::new("runs/a")),
            "burn-distill run a.toml --resume --out runs/a"
        );
    }
}
