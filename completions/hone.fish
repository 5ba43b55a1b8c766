# fish completion for hone. Options come from `hone COMMAND --help`, models from the store.

function __hone_models
    hone list --json 2>/dev/null | string replace -rf '^ *"name": "(.*)",?$' '$1'
end

function __hone_known
    hone pull --known --json 2>/dev/null | string replace -rf '^ *"name": "(.*)",?$' '$1'
end

function __hone_commands
    hone help 2>/dev/null | sed -n '/^Commands/,/^$/s/^  \([a-z]*\)  *\(.*\)$/\1\t\2/p'
end

function __hone_options
    set -l words (commandline -opc)
    hone $words[2] --help 2>/dev/null |
        string replace -rf '^  (?:-\w, |    )(--[a-z-]+)(?: \S+)? *(.*)$' '$1\t$2'
end

complete -c hone -f
complete -c hone -n __fish_use_subcommand -a '(__hone_commands)'
complete -c hone -n 'not __fish_use_subcommand; and string match -q -- "-*" (commandline -ct)' \
    -a '(__hone_options)'
complete -c hone -n '__fish_seen_subcommand_from run show plan merge bench eval tune' -F -a '(__hone_models)'
complete -c hone -n '__fish_seen_subcommand_from convert quantize transcribe ask' -F
complete -c hone -n '__fish_seen_subcommand_from serve stop rm cp verify' -a '(__hone_models)'
complete -c hone -n '__fish_seen_subcommand_from pull' -F -a '(__hone_known)'
complete -c hone -n '__fish_seen_subcommand_from prune' -F
complete -c hone -n '__fish_seen_subcommand_from results' -a 'diff delete'
complete -c hone -n '__fish_seen_subcommand_from help' -a '(__hone_commands)'
