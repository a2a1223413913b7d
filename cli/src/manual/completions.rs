//! Completions for shells.

use std::io::{self, Write};

use clap::Command;
use clap_complete::{Shell, generate};

/// What clap's function offers where neither a command nor an option is being typed are all options. Without them bash goes
/// on to the names of files, which is what is meant there.
const BASH_FILES: &str = r#"
_latentbit_or_files() {
    _latentbit "$@"
    [[ "$2" == -* ]] && return
    local word words=("${COMPREPLY[@]}")
    COMPREPLY=()
    for word in "${words[@]}"; do
        [[ "${word}" == -* ]] || COMPREPLY+=("${word}")
    done
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _latentbit_or_files -o nosort -o bashdefault -o default latentbit
else
    complete -F _latentbit_or_files -o bashdefault -o default latentbit
fi
"#;

/// Writes the script that teaches a shell the commands and options.
///
/// # Errors
/// If `out` cannot be written.
pub fn write(definition: Command, shell: Shell, out: &mut impl Write) -> io::Result<()> {
    let mut command = super::built(definition);
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    match shell {
        Shell::Bash => script.extend_from_slice(BASH_FILES.as_bytes()),
        Shell::Zsh => script = with_files(&String::from_utf8_lossy(&script)).into_bytes(),
        _ => {}
    }
    out.write_all(&script)
}

/// What clap writes of arguments that may be several has zsh forget the words before them, and with those that files are
/// meant.
fn with_files(script: &str) -> String {
    script.replace("\n'*::", "\n'*:")
}
