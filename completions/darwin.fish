# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_darwin_global_optspecs
    string join \n json q/quiet no-start address= identity= h/help V/version
end

function __fish_darwin_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_darwin_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_darwin_using_subcommand
    set -l cmd (__fish_darwin_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c darwin -n "__fish_darwin_needs_command" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_needs_command" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_needs_command" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_needs_command" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_needs_command" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_needs_command" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_needs_command" -s V -l version -d 'Print version'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "evolve" -d 'Evolve agents against a suite, from a darwin.toml, an OpenEvolve problem or a ShinkaEvolve task'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "runs" -d 'List, show, watch, stop and resume runs, or go back in one'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "eval" -d 'Evaluate an agent, or a directory, against a suite'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "agents" -d 'Show agents and write them to disk'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "lineage" -d 'Show, compare, verify and export where agents come from'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "journal" -d 'Read the journal of an agent, or those of a run\'s agents'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "session" -d 'Group runs into sessions, and come back to them'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "blob" -d 'Keep files of any size with a session: weights, data sets'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "store" -d 'Check what is stored'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "pki" -d 'Issue, renew and revoke the certificates that open the daemon\'s port'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "status" -d 'Show the daemon\'s state; exits with 69 if none runs'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "doctor" -d 'Check this machine: configuration, daemon, stores, sandbox, Python'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "config" -d 'Show and check the configuration'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "up" -d 'Start this user\'s daemon, if it isn\'t there'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "down" -d 'End this user\'s daemon: it finishes what it began; runs go on when it is started again'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "explain" -d 'Explain an error code, or list all of them'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "man" -d 'Show the manual page of darwin, of one of its commands, or of darwind'
complete -c darwin -n "__fish_darwin_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l seed -d 'Seed of all random choices; the same seed gives the same run' -r
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l workers -d 'Evaluations at once [default: as many as processors, or fewer if the problem says so]' -r
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l max-evaluations -d 'Stop after this many evaluations' -r
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l max-generations -d 'Stop after this many generations' -r
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l max-time -d 'Stop after this much time at work, like 90s, 5m or 1h30m' -r
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l target -d 'Stop when the best score is at least this good' -r
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l population -d 'How many agents a generation has' -r
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l session -d 'The session that the run belongs to, by id or name [default: your default session]' -r
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l sandbox -d 'What to do where a layer of the sandbox is missing: refuse, or go on without it [default: as configured]' -r -f -a "full\t'Every mandatory layer, or the run is refused'
reduced\t'What this machine has; the results are stamped'"
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l detach -d 'Return at once; the run goes on in the daemon'
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand evolve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -f -a "list" -d 'List runs, the newest first'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -f -a "show" -d 'Show a run: its state, its best agent, why it ended'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -f -a "watch" -d 'Follow a run to its end; Ctrl-C leaves, and the run goes on'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -f -a "stop" -d 'Stop a run once what is being evaluated is done, or at once'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -f -a "rollback" -d 'Go back to an earlier generation, and set aside what came after it'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -f -a "resume" -d 'Take a run that stopped, failed or finished up again, with wider limits if given'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and not __fish_seen_subcommand_from list show watch stop rollback resume help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from list" -l session -d 'Only those of this session, by id or name' -r
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from list" -l limit -d 'At most this many' -r
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from list" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from list" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from list" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from show" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from show" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from show" -l spec -d 'Print its specification instead'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from show" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from watch" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from watch" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from watch" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from watch" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from watch" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from watch" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from stop" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from stop" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from stop" -l all -d 'Every run that is at work'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from stop" -l now -d 'Kill what is being evaluated; nothing comes of it'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from stop" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from stop" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from stop" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from rollback" -l to -d 'The last generation that counts' -r
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from rollback" -l before -d 'The generation before that of this agent, by id or a unique start of it' -r
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from rollback" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from rollback" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from rollback" -l resume -d 'Take the new run up at once'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from rollback" -l detach -d 'With --resume: return at once; the run goes on in the daemon'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from rollback" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from rollback" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from rollback" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from resume" -l max-evaluations -d 'Stop after this many evaluations in all' -r
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from resume" -l max-generations -d 'Stop after this many generations in all' -r
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from resume" -l max-time -d 'Stop after this much time at work in all, like 90s, 5m or 1h30m' -r
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from resume" -l target -d 'Stop when the best score is at least this good' -r
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from resume" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from resume" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from resume" -l detach -d 'Return at once; the run goes on in the daemon'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from resume" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from resume" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from resume" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from help" -f -a "list" -d 'List runs, the newest first'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show a run: its state, its best agent, why it ended'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from help" -f -a "watch" -d 'Follow a run to its end; Ctrl-C leaves, and the run goes on'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from help" -f -a "stop" -d 'Stop a run once what is being evaluated is done, or at once'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from help" -f -a "rollback" -d 'Go back to an earlier generation, and set aside what came after it'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Take a run that stopped, failed or finished up again, with wider limits if given'
complete -c darwin -n "__fish_darwin_using_subcommand runs; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand eval" -l suite -d 'The suite: a suite.toml, a darwin.toml with one, or the directory of either or of an OpenEvolve problem or a ShinkaEvolve task [default: that of the project in DIR]' -r -F
complete -c darwin -n "__fish_darwin_using_subcommand eval" -l fail-under -d 'Exit with 1 if the mean score is worse than this (above it, if the suite minimises)' -r
complete -c darwin -n "__fish_darwin_using_subcommand eval" -l junit -d 'Also write the results as JUnit XML' -r -F
complete -c darwin -n "__fish_darwin_using_subcommand eval" -l repeat -d 'Evaluate this many times, with seeds that count up [default: the suite\'s `repeats`]' -r
complete -c darwin -n "__fish_darwin_using_subcommand eval" -l seed -d 'Seed of the evaluation' -r
complete -c darwin -n "__fish_darwin_using_subcommand eval" -l sandbox -d 'What to do where a layer of the sandbox is missing: refuse, or go on without it [default: as configured]' -r -f -a "full\t'Every mandatory layer, or the run is refused'
reduced\t'What this machine has; the results are stamped'"
complete -c darwin -n "__fish_darwin_using_subcommand eval" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand eval" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand eval" -l github -d 'Also write annotations for GitHub\'s workflows to stderr [default: where GITHUB_ACTIONS is true]'
complete -c darwin -n "__fish_darwin_using_subcommand eval" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand eval" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand eval" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand eval" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and not __fish_seen_subcommand_from show files artifacts export help" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand agents; and not __fish_seen_subcommand_from show files artifacts export help" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand agents; and not __fish_seen_subcommand_from show files artifacts export help" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and not __fish_seen_subcommand_from show files artifacts export help" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and not __fish_seen_subcommand_from show files artifacts export help" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and not __fish_seen_subcommand_from show files artifacts export help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and not __fish_seen_subcommand_from show files artifacts export help" -f -a "show" -d 'Show an agent: its score, parents, operators, files and parameters'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and not __fish_seen_subcommand_from show files artifacts export help" -f -a "files" -d 'List an agent\'s files, or print one'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and not __fish_seen_subcommand_from show files artifacts export help" -f -a "artifacts" -d 'List what an agent\'s evaluations left beside metrics, or print one, byte for byte'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and not __fish_seen_subcommand_from show files artifacts export help" -f -a "export" -d 'Write an agent\'s files into a directory, and its parameters as params.json'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and not __fish_seen_subcommand_from show files artifacts export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from show" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from show" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from show" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from files" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from files" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from files" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from files" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from files" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from files" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from artifacts" -l evaluation -d 'Only those of this evaluation' -r
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from artifacts" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from artifacts" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from artifacts" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from artifacts" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from artifacts" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from artifacts" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from export" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from export" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from export" -l force -d 'Write into a directory that isn\'t empty, over what is there'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from export" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from export" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from export" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show an agent: its score, parents, operators, files and parameters'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from help" -f -a "files" -d 'List an agent\'s files, or print one'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from help" -f -a "artifacts" -d 'List what an agent\'s evaluations left beside metrics, or print one, byte for byte'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write an agent\'s files into a directory, and its parameters as params.json'
complete -c darwin -n "__fish_darwin_using_subcommand agents; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -f -a "tree" -d 'Draw a run\'s agents as a tree: those that were the best in their time, or all'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -f -a "ancestors" -d 'List an agent\'s ancestors, the nearest first'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -f -a "descendants" -d 'List an agent\'s descendants, the nearest first'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -f -a "diff" -d 'Show how one agent\'s files and parameters differ from another\'s'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -f -a "verify" -d 'Check every signature, link, digest and score record of an agent\'s ancestry'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -f -a "export" -d 'Write an agent\'s ancestry to a file: a CAR to verify anywhere, or JSON'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and not __fish_seen_subcommand_from tree ancestors descendants diff verify export help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from tree" -l limit -d 'Look at no more than this many agents, the oldest first' -r
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from tree" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from tree" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from tree" -l all -d 'Draw every agent'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from tree" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from tree" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from tree" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from tree" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from ancestors" -l limit -d 'At most this many' -r
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from ancestors" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from ancestors" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from ancestors" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from ancestors" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from ancestors" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from ancestors" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from descendants" -l limit -d 'At most this many' -r
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from descendants" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from descendants" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from descendants" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from descendants" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from descendants" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from descendants" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from diff" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from diff" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from diff" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from diff" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from diff" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from verify" -l trust -d 'Of a file: trust the signing key of this fingerprint (may be repeated)' -r
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from verify" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from verify" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from verify" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from verify" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from export" -l format -d 'The form' -r -f -a "car\t'Content-addressed archive: signed, can be verified anywhere'
json\t'One JSON document with all agents'"
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from export" -s o -l output -d 'The file; - or nothing: stdout' -r -F
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from export" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from export" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from export" -l disclose -d 'Put the session\'s key into the CAR, so that whoever has it can read the contents'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from export" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from export" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from export" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from help" -f -a "tree" -d 'Draw a run\'s agents as a tree: those that were the best in their time, or all'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from help" -f -a "ancestors" -d 'List an agent\'s ancestors, the nearest first'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from help" -f -a "descendants" -d 'List an agent\'s descendants, the nearest first'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from help" -f -a "diff" -d 'Show how one agent\'s files and parameters differ from another\'s'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check every signature, link, digest and score record of an agent\'s ancestry'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write an agent\'s ancestry to a file: a CAR to verify anywhere, or JSON'
complete -c darwin -n "__fish_darwin_using_subcommand lineage; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand journal" -l only -d 'Only events of this kind, or of agents with this verdict (may be repeated)' -r -f -a "proposed\t''
evaluated\t''
judged\t''
archived\t''
scored\t''
improved\t''
champion\t''"
complete -c darwin -n "__fish_darwin_using_subcommand journal" -l since -d 'Only what happened since: a time ago, like 90s or 2h; or @SECONDS since 1970' -r
complete -c darwin -n "__fish_darwin_using_subcommand journal" -l limit -d 'At most this many entries' -r
complete -c darwin -n "__fish_darwin_using_subcommand journal" -l format -d 'The form' -r -f -a "text\t'For people'
json\t'One JSON document a line'
markdown\t'Markdown'"
complete -c darwin -n "__fish_darwin_using_subcommand journal" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand journal" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand journal" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand journal" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand journal" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand journal" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -f -a "new" -d 'Begin a session'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -f -a "list" -d 'List sessions, the last used first'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -f -a "resume" -d 'Come back to a session: what ran in it, and what still does'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -f -a "context" -d 'Print what you keep with a session, or replace it'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -f -a "join" -d 'Talk in a room of a session, with people and agents who are in it'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -f -a "invite" -d 'Have an agent be in a room, in a sandbox, as long as this runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -f -a "rooms" -d 'List the rooms of a session that somebody is in'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -f -a "close" -d 'Close a session: it can be read, but no new run may join it'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -f -a "shred" -d 'Destroy a closed session\'s key, so that nobody can read its contents again'
complete -c darwin -n "__fish_darwin_using_subcommand session; and not __fish_seen_subcommand_from new list resume context join invite rooms close shred help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from new" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from new" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from new" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from new" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from new" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from list" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from list" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from list" -l all -d 'Closed ones too'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from list" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from resume" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from resume" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from resume" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from resume" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from resume" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from context" -l set -d 'Replace it by the text in this file; - for stdin' -r -F
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from context" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from context" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from context" -l clear -d 'Leave none'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from context" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from context" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from context" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from context" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from join" -l session -d 'The session\'s id, a unique start of it, or its name; without it, your default session' -r
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from join" -l as -d 'What the others call you; without it, your user name' -r
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from join" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from join" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from join" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from join" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from join" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from join" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from invite" -l session -d 'The session\'s id, a unique start of it, or its name; without it, your default session' -r
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from invite" -l as -d 'What the others call it; without it, the start of its id' -r
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from invite" -l time -d 'How long it may stay, for example 10m; without it, an hour' -r
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from invite" -l sandbox -d 'What to do where a layer of the sandbox is missing: refuse, or go on without it' -r -f -a "full\t'Every mandatory layer, or the run is refused'
reduced\t'What this machine has; the results are stamped'"
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from invite" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from invite" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from invite" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from invite" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from invite" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from invite" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from rooms" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from rooms" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from rooms" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from rooms" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from rooms" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from rooms" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from close" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from close" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from close" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from close" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from close" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from close" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from shred" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from shred" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from shred" -l yes -d 'Do not ask'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from shred" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from shred" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from shred" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from shred" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "new" -d 'Begin a session'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "list" -d 'List sessions, the last used first'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Come back to a session: what ran in it, and what still does'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "context" -d 'Print what you keep with a session, or replace it'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "join" -d 'Talk in a room of a session, with people and agents who are in it'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "invite" -d 'Have an agent be in a room, in a sandbox, as long as this runs'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "rooms" -d 'List the rooms of a session that somebody is in'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "close" -d 'Close a session: it can be read, but no new run may join it'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "shred" -d 'Destroy a closed session\'s key, so that nobody can read its contents again'
complete -c darwin -n "__fish_darwin_using_subcommand session; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and not __fish_seen_subcommand_from put get list help" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand blob; and not __fish_seen_subcommand_from put get list help" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand blob; and not __fish_seen_subcommand_from put get list help" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and not __fish_seen_subcommand_from put get list help" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and not __fish_seen_subcommand_from put get list help" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and not __fish_seen_subcommand_from put get list help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and not __fish_seen_subcommand_from put get list help" -f -a "put" -d 'Store a file, and print its digest'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and not __fish_seen_subcommand_from put get list help" -f -a "get" -d 'Write a blob to a file or to stdout, checked against its digest'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and not __fish_seen_subcommand_from put get list help" -f -a "list" -d 'List a session\'s blobs, the last begun first'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and not __fish_seen_subcommand_from put get list help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from put" -l name -d 'What you call it; without it, the file\'s name' -r
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from put" -l session -d 'The session\'s id, a unique start of it, or its name; without it, your default session' -r
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from put" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from put" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from put" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from put" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from put" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from put" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from get" -s o -l output -d 'The file; - or nothing: stdout' -r -F
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from get" -l session -d 'The session\'s id, a unique start of it, or its name; without it, your default session' -r
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from get" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from get" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from get" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from get" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from get" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from get" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from list" -l session -d 'The session\'s id, a unique start of it, or its name; without it, your default session' -r
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from list" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from list" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from list" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from help" -f -a "put" -d 'Store a file, and print its digest'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from help" -f -a "get" -d 'Write a blob to a file or to stdout, checked against its digest'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from help" -f -a "list" -d 'List a session\'s blobs, the last begun first'
complete -c darwin -n "__fish_darwin_using_subcommand blob; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand store; and not __fish_seen_subcommand_from verify help" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand store; and not __fish_seen_subcommand_from verify help" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand store; and not __fish_seen_subcommand_from verify help" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand store; and not __fish_seen_subcommand_from verify help" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand store; and not __fish_seen_subcommand_from verify help" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand store; and not __fish_seen_subcommand_from verify help" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand store; and not __fish_seen_subcommand_from verify help" -f -a "verify" -d 'Check every stored block, signature, link, digest and row'
complete -c darwin -n "__fish_darwin_using_subcommand store; and not __fish_seen_subcommand_from verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand store; and __fish_seen_subcommand_from verify" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand store; and __fish_seen_subcommand_from verify" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand store; and __fish_seen_subcommand_from verify" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand store; and __fish_seen_subcommand_from verify" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand store; and __fish_seen_subcommand_from verify" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand store; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand store; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check every stored block, signature, link, digest and row'
complete -c darwin -n "__fish_darwin_using_subcommand store; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -l pki -d 'Where the authority lies [default: pki/ in the data directory]' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -f -a "init" -d 'Make an authority, before a daemon does on its first start'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -f -a "issue" -d 'Issue a certificate to somebody: a directory with certificate, key and authority'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -f -a "renew" -d 'Issue a new certificate to whom has one; the old one stays good until it ends'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -f -a "revoke" -d 'Take certificates back: their holders are refused, and cut off where they are connected'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -f -a "list" -d 'List what was issued, the newest first, and how each stands'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -f -a "rotate" -d 'Have a new authority sign from now on; the old one is trusted until its last certificate ends'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and not __fish_seen_subcommand_from init issue renew revoke list rotate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from init" -l pki -d 'Where the authority lies [default: pki/ in the data directory]' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from init" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from init" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from init" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from init" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from init" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from issue" -l role -d 'What its holder may do' -r -f -a "operator\t''
user\t''
worker\t''
reader\t''"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from issue" -l days -d 'How many days it is good for' -r
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from issue" -l out -d 'Where to write it [default: a directory of that name]' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from issue" -l pki -d 'Where the authority lies [default: pki/ in the data directory]' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from issue" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from issue" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from issue" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from issue" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from issue" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from issue" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from renew" -l days -d 'How many days it is good for' -r
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from renew" -l out -d 'Where to write it [default: a directory of that name]' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from renew" -l pki -d 'Where the authority lies [default: pki/ in the data directory]' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from renew" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from renew" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from renew" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from renew" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from renew" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from renew" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from revoke" -l pki -d 'Where the authority lies [default: pki/ in the data directory]' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from revoke" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from revoke" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from revoke" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from revoke" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from list" -l pki -d 'Where the authority lies [default: pki/ in the data directory]' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from list" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from list" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from list" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from rotate" -l pki -d 'Where the authority lies [default: pki/ in the data directory]' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from rotate" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from rotate" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from rotate" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from rotate" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from rotate" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "init" -d 'Make an authority, before a daemon does on its first start'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "issue" -d 'Issue a certificate to somebody: a directory with certificate, key and authority'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "renew" -d 'Issue a new certificate to whom has one; the old one stays good until it ends'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Take certificates back: their holders are refused, and cut off where they are connected'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "list" -d 'List what was issued, the newest first, and how each stands'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Have a new authority sign from now on; the old one is trusted until its last certificate ends'
complete -c darwin -n "__fish_darwin_using_subcommand pki; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand status" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand status" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand status" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand status" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand status" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand status" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand doctor" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand doctor" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand doctor" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand doctor" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand doctor" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwin -n "__fish_darwin_using_subcommand config; and not __fish_seen_subcommand_from show check help" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand config; and not __fish_seen_subcommand_from show check help" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand config; and not __fish_seen_subcommand_from show check help" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand config; and not __fish_seen_subcommand_from show check help" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand config; and not __fish_seen_subcommand_from show check help" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand config; and not __fish_seen_subcommand_from show check help" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand config; and not __fish_seen_subcommand_from show check help" -f -a "show" -d 'Show every value and where it comes from'
complete -c darwin -n "__fish_darwin_using_subcommand config; and not __fish_seen_subcommand_from show check help" -f -a "check" -d 'Check the configuration, or a file before it is put in place; exits with 78 on a mistake'
complete -c darwin -n "__fish_darwin_using_subcommand config; and not __fish_seen_subcommand_from show check help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from show" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from show" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from show" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from show" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from show" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from check" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from check" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from check" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from check" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show every value and where it comes from'
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check the configuration, or a file before it is put in place; exits with 78 on a mistake'
complete -c darwin -n "__fish_darwin_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand up" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand up" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand up" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand up" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand up" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand up" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand down" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand down" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand down" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand down" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand down" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand down" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand explain" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand explain" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand explain" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand explain" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand explain" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand explain" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand completions" -l write -d 'Write those of all shells, those of darwind, and the man pages into this directory instead' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand completions" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand completions" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand completions" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand completions" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand completions" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand completions" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand man" -l address -d 'Talk to the daemon at this address (client.address)' -r -f
complete -c darwin -n "__fish_darwin_using_subcommand man" -l identity -d 'Show the daemon the certificate in this directory (client.identity)' -r -f -a "(__fish_complete_directories)"
complete -c darwin -n "__fish_darwin_using_subcommand man" -l json -d 'Print data as JSON ("format": "darwin/1"): one document, or one a line'
complete -c darwin -n "__fish_darwin_using_subcommand man" -s q -l quiet -d 'Say nothing on stderr but warnings and errors'
complete -c darwin -n "__fish_darwin_using_subcommand man" -l no-start -d 'Do not start a daemon if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand man" -s h -l help -d 'Print help'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "evolve" -d 'Evolve agents against a suite, from a darwin.toml, an OpenEvolve problem or a ShinkaEvolve task'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "runs" -d 'List, show, watch, stop and resume runs, or go back in one'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "eval" -d 'Evaluate an agent, or a directory, against a suite'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "agents" -d 'Show agents and write them to disk'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "lineage" -d 'Show, compare, verify and export where agents come from'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "journal" -d 'Read the journal of an agent, or those of a run\'s agents'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "session" -d 'Group runs into sessions, and come back to them'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "blob" -d 'Keep files of any size with a session: weights, data sets'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "store" -d 'Check what is stored'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "pki" -d 'Issue, renew and revoke the certificates that open the daemon\'s port'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "status" -d 'Show the daemon\'s state; exits with 69 if none runs'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "doctor" -d 'Check this machine: configuration, daemon, stores, sandbox, Python'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "config" -d 'Show and check the configuration'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "up" -d 'Start this user\'s daemon, if it isn\'t there'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "down" -d 'End this user\'s daemon: it finishes what it began; runs go on when it is started again'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "explain" -d 'Explain an error code, or list all of them'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "completions" -d 'Print completions for a shell'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "man" -d 'Show the manual page of darwin, of one of its commands, or of darwind'
complete -c darwin -n "__fish_darwin_using_subcommand help; and not __fish_seen_subcommand_from evolve runs eval agents lineage journal session blob store pki status doctor config up down explain completions man help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from runs" -f -a "list" -d 'List runs, the newest first'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from runs" -f -a "show" -d 'Show a run: its state, its best agent, why it ended'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from runs" -f -a "watch" -d 'Follow a run to its end; Ctrl-C leaves, and the run goes on'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from runs" -f -a "stop" -d 'Stop a run once what is being evaluated is done, or at once'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from runs" -f -a "rollback" -d 'Go back to an earlier generation, and set aside what came after it'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from runs" -f -a "resume" -d 'Take a run that stopped, failed or finished up again, with wider limits if given'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from agents" -f -a "show" -d 'Show an agent: its score, parents, operators, files and parameters'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from agents" -f -a "files" -d 'List an agent\'s files, or print one'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from agents" -f -a "artifacts" -d 'List what an agent\'s evaluations left beside metrics, or print one, byte for byte'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from agents" -f -a "export" -d 'Write an agent\'s files into a directory, and its parameters as params.json'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from lineage" -f -a "tree" -d 'Draw a run\'s agents as a tree: those that were the best in their time, or all'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from lineage" -f -a "ancestors" -d 'List an agent\'s ancestors, the nearest first'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from lineage" -f -a "descendants" -d 'List an agent\'s descendants, the nearest first'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from lineage" -f -a "diff" -d 'Show how one agent\'s files and parameters differ from another\'s'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from lineage" -f -a "verify" -d 'Check every signature, link, digest and score record of an agent\'s ancestry'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from lineage" -f -a "export" -d 'Write an agent\'s ancestry to a file: a CAR to verify anywhere, or JSON'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "new" -d 'Begin a session'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "list" -d 'List sessions, the last used first'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "resume" -d 'Come back to a session: what ran in it, and what still does'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "context" -d 'Print what you keep with a session, or replace it'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "join" -d 'Talk in a room of a session, with people and agents who are in it'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "invite" -d 'Have an agent be in a room, in a sandbox, as long as this runs'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "rooms" -d 'List the rooms of a session that somebody is in'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "close" -d 'Close a session: it can be read, but no new run may join it'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from session" -f -a "shred" -d 'Destroy a closed session\'s key, so that nobody can read its contents again'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from blob" -f -a "put" -d 'Store a file, and print its digest'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from blob" -f -a "get" -d 'Write a blob to a file or to stdout, checked against its digest'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from blob" -f -a "list" -d 'List a session\'s blobs, the last begun first'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from store" -f -a "verify" -d 'Check every stored block, signature, link, digest and row'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from pki" -f -a "init" -d 'Make an authority, before a daemon does on its first start'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from pki" -f -a "issue" -d 'Issue a certificate to somebody: a directory with certificate, key and authority'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from pki" -f -a "renew" -d 'Issue a new certificate to whom has one; the old one stays good until it ends'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from pki" -f -a "revoke" -d 'Take certificates back: their holders are refused, and cut off where they are connected'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from pki" -f -a "list" -d 'List what was issued, the newest first, and how each stands'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from pki" -f -a "rotate" -d 'Have a new authority sign from now on; the old one is trusted until its last certificate ends'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Show every value and where it comes from'
complete -c darwin -n "__fish_darwin_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Check the configuration, or a file before it is put in place; exits with 78 on a mistake'
