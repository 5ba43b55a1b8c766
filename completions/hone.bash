# bash completion for hone. Options come from `hone COMMAND --help`, models from the store, so that
# this file knows no more than the program's shape.

_hone_models() {
    hone list --json 2>/dev/null | sed -n 's/^ *"name": "\(.*\)",*$/\1/p'
}

_hone_known() {
    hone pull --known --json 2>/dev/null | sed -n 's/^ *"name": "\(.*\)",*$/\1/p'
}

_hone_commands() {
    hone help 2>/dev/null | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

_hone_strategies() {
    hone strategies --json 2>/dev/null | sed -n 's/^ *"name": "\(.*\)",*$/\1/p'
}

_hone_types() {
    hone quantize --help 2>/dev/null | tr ', ' '\n\n' | grep -xE '(B?F(16|32)|I?Q[0-9]_[A-Z0-9_]+)'
}

_hone_tasks() {
    hone tasks --json 2>/dev/null | sed -n 's/^ *"task": "\(.*\)",*$/\1/p'
}

_hone() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}
    local colon=${COMP_WORDBREAKS//[^:]/}
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        COMPREPLY=($(compgen -W "$(_hone_commands)" -- "$word"))
        return
    fi
    case $before in
    --format) [ "$command" = transcribe ] && COMPREPLY=($(compgen -W "text srt vtt json verbose_json tsv csv lrc" -- "$word")); return ;;
    --speech-model | --model | -m) COMPREPLY=($(compgen -W "$(_hone_models)" -- "$word") $(compgen -f -- "$word")); return ;;
    --audio) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --output-dir) COMPREPLY=($(compgen -d -- "$word")); return ;;
    --log) COMPREPLY=($(compgen -W "json text" -- "$word")); return ;;
    --config | --api-key-file | --tls-cert | --tls-key) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --strategy) COMPREPLY=($(compgen -W "$(_hone_strategies)" -- "$word")); return ;;
    --goal) COMPREPLY=($(compgen -W "decode ttft throughput quality" -- "$word")); return ;;
    --api) COMPREPLY=($(compgen -W "openai ollama" -- "$word")); return ;;
    --kind) COMPREPLY=($(compgen -W "bench eval fidelity tune compare load" -- "$word")); return ;;
    --kv) COMPREPLY=($(compgen -W "f16 f32 q8_0" -- "$word")); return ;;
    --priority) COMPREPLY=($(compgen -W "speed balanced quality" -- "$word")); return ;;
    --type) COMPREPLY=($(compgen -W "$(_hone_types)" -- "$word")); return ;;
    --task | --tasks | --fetch) COMPREPLY=($(compgen -W "$(_hone_tasks)" -- "$word") $(compgen -f -- "$word")); return ;;
    --rules | --examples | --items | --samples | --machine | --file | -f | --html | --api-key-file | --adapter | --output | -o | --text | --imatrix | --fidelity) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --draft) COMPREPLY=($(compgen -W "ngram $(_hone_models)" -- "$word")); return ;;
    esac
    case $word in
    -*)
        local options
        options=$(hone "$command" --help 2>/dev/null | grep -o -e '--[a-z][a-z-]*' | sort -u)
        COMPREPLY=($(compgen -W "$options" -- "$word"))
        return
        ;;
    esac
    case $command in
    results) [ "$COMP_CWORD" -eq 2 ] && COMPREPLY=($(compgen -W "diff delete" -- "$word")) ;;
    help) COMPREPLY=($(compgen -W "$(_hone_commands)" -- "$word")) ;;
    run | show | plan | merge | bench | eval | tune | calibrate | fidelity)
        # bash takes a name apart at its colon; complete what stands behind it.
        local typed=$word prefix=
        if [ -n "$colon" ] && [ "$before" = : ]; then prefix=${COMP_WORDS[COMP_CWORD-2]}:; fi
        if [ -n "$colon" ] && [ "$word" = : ]; then prefix=$before: typed=; fi
        COMPREPLY=($(compgen -W "$(_hone_models)" -- "$prefix$typed"))
        COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
        [ -n "$prefix" ] || COMPREPLY+=($(compgen -f -- "$word"))
        ;;
    convert | quantize | transcribe) COMPREPLY=($(compgen -f -- "$word")) ;;
    serve | stop | rm | cp | verify) COMPREPLY=($(compgen -W "$(_hone_models)" -- "$word")) ;;
    pull) COMPREPLY=($(compgen -W "$(_hone_known)" -- "$word") $(compgen -f -- "$word")) ;;
    prune) COMPREPLY=($(compgen -d -- "$word")) ;;
    esac
}
complete -o bashdefault -F _hone hone
