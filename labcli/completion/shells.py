"""What each shell evaluates to complete labcli, and how it says what it wants to know."""

from __future__ import annotations

from collections.abc import Mapping

SHELL_VARIABLE = "_LABCLI_COMPLETE"
LINE_VARIABLE = "_LABCLI_LINE"
BREAKS_VARIABLE = "_LABCLI_BREAKS"

_SCRIPTS: Mapping[str, str] = {
    "bash": f"""_labcli_completion() {{
    local IFS=$'\\n'
    COMPREPLY=( $({SHELL_VARIABLE}=bash {LINE_VARIABLE}="${{COMP_LINE:0:COMP_POINT}}" \\
        {BREAKS_VARIABLE}="$COMP_WORDBREAKS" "$1" 2>/dev/null) )
    if [[ ${{#COMPREPLY[@]}} -eq 1 && ${{COMPREPLY[0]}} == *[/=:] ]]; then
        compopt -o nospace
    fi
}}
complete -F _labcli_completion labcli""",
    "zsh": f"""#compdef labcli
_labcli() {{
    local -a lines values
    lines=("${{(@f)$({SHELL_VARIABLE}=zsh {LINE_VARIABLE}="$LBUFFER" labcli 2>/dev/null)}}")
    values=("${{(@)lines%%$'\\t'*}}")
    lines=("${{(@)lines//$'\\t'/  }}")
    compadd -l -d lines -a values
}}
compdef _labcli labcli""",
    "fish": f"""function __labcli_complete
    set -lx {SHELL_VARIABLE} fish
    set -lx {LINE_VARIABLE} (commandline -cp | string collect)
    labcli 2>/dev/null
end
complete -c labcli -f -a '(__labcli_complete)'""",
}


def script(shell: str) -> str:
    """Return the script of bash, zsh or fish."""
    return _SCRIPTS[shell]
