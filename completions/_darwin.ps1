
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'darwin' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'darwin'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'darwin' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('evolve', 'evolve', [CompletionResultType]::ParameterValue, 'Evolve agents against a suite, from a darwin.toml, an OpenEvolve problem or a ShinkaEvolve task')
            [CompletionResult]::new('runs', 'runs', [CompletionResultType]::ParameterValue, 'List, show, watch, stop and resume runs, or go back in one')
            [CompletionResult]::new('eval', 'eval', [CompletionResultType]::ParameterValue, 'Evaluate an agent, or a directory, against a suite')
            [CompletionResult]::new('agents', 'agents', [CompletionResultType]::ParameterValue, 'Show agents and write them to disk')
            [CompletionResult]::new('lineage', 'lineage', [CompletionResultType]::ParameterValue, 'Show, compare, verify and export where agents come from')
            [CompletionResult]::new('journal', 'journal', [CompletionResultType]::ParameterValue, 'Read the journal of an agent, or those of a run''s agents')
            [CompletionResult]::new('session', 'session', [CompletionResultType]::ParameterValue, 'Group runs into sessions, and come back to them')
            [CompletionResult]::new('blob', 'blob', [CompletionResultType]::ParameterValue, 'Keep files of any size with a session: weights, data sets')
            [CompletionResult]::new('store', 'store', [CompletionResultType]::ParameterValue, 'Check what is stored')
            [CompletionResult]::new('pki', 'pki', [CompletionResultType]::ParameterValue, 'Issue, renew and revoke the certificates that open the daemon''s port')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show the daemon''s state; exits with 69 if none runs')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check this machine: configuration, daemon, stores, sandbox, Python')
            [CompletionResult]::new('config', 'config', [CompletionResultType]::ParameterValue, 'Show and check the configuration')
            [CompletionResult]::new('up', 'up', [CompletionResultType]::ParameterValue, 'Start this user''s daemon, if it isn''t there')
            [CompletionResult]::new('down', 'down', [CompletionResultType]::ParameterValue, 'End this user''s daemon: it finishes what it began; runs go on when it is started again')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain an error code, or list all of them')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print completions for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Show the manual page of darwin, of one of its commands, or of darwind')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;evolve' {
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of all random choices; the same seed gives the same run')
            [CompletionResult]::new('--workers', '--workers', [CompletionResultType]::ParameterName, 'Evaluations at once [default: as many as processors, or fewer if the problem says so]')
            [CompletionResult]::new('--max-evaluations', '--max-evaluations', [CompletionResultType]::ParameterName, 'Stop after this many evaluations')
            [CompletionResult]::new('--max-generations', '--max-generations', [CompletionResultType]::ParameterName, 'Stop after this many generations')
            [CompletionResult]::new('--max-time', '--max-time', [CompletionResultType]::ParameterName, 'Stop after this much time at work, like 90s, 5m or 1h30m')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Stop when the best score is at least this good')
            [CompletionResult]::new('--population', '--population', [CompletionResultType]::ParameterName, 'How many agents a generation has')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'The session that the run belongs to, by id or name [default: your default session]')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'What to do where a layer of the sandbox is missing: refuse, or go on without it [default: as configured]')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--detach', '--detach', [CompletionResultType]::ParameterName, 'Return at once; the run goes on in the daemon')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'darwin;runs' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List runs, the newest first')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show a run: its state, its best agent, why it ended')
            [CompletionResult]::new('watch', 'watch', [CompletionResultType]::ParameterValue, 'Follow a run to its end; Ctrl-C leaves, and the run goes on')
            [CompletionResult]::new('stop', 'stop', [CompletionResultType]::ParameterValue, 'Stop a run once what is being evaluated is done, or at once')
            [CompletionResult]::new('rollback', 'rollback', [CompletionResultType]::ParameterValue, 'Go back to an earlier generation, and set aside what came after it')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Take a run that stopped, failed or finished up again, with wider limits if given')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;runs;list' {
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Only those of this session, by id or name')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'At most this many')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;runs;show' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--spec', '--spec', [CompletionResultType]::ParameterName, 'Print its specification instead')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;runs;watch' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;runs;stop' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Every run that is at work')
            [CompletionResult]::new('--now', '--now', [CompletionResultType]::ParameterName, 'Kill what is being evaluated; nothing comes of it')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;runs;rollback' {
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'The last generation that counts')
            [CompletionResult]::new('--before', '--before', [CompletionResultType]::ParameterName, 'The generation before that of this agent, by id or a unique start of it')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--resume', '--resume', [CompletionResultType]::ParameterName, 'Take the new run up at once')
            [CompletionResult]::new('--detach', '--detach', [CompletionResultType]::ParameterName, 'With --resume: return at once; the run goes on in the daemon')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;runs;resume' {
            [CompletionResult]::new('--max-evaluations', '--max-evaluations', [CompletionResultType]::ParameterName, 'Stop after this many evaluations in all')
            [CompletionResult]::new('--max-generations', '--max-generations', [CompletionResultType]::ParameterName, 'Stop after this many generations in all')
            [CompletionResult]::new('--max-time', '--max-time', [CompletionResultType]::ParameterName, 'Stop after this much time at work in all, like 90s, 5m or 1h30m')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Stop when the best score is at least this good')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--detach', '--detach', [CompletionResultType]::ParameterName, 'Return at once; the run goes on in the daemon')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;runs;help' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List runs, the newest first')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show a run: its state, its best agent, why it ended')
            [CompletionResult]::new('watch', 'watch', [CompletionResultType]::ParameterValue, 'Follow a run to its end; Ctrl-C leaves, and the run goes on')
            [CompletionResult]::new('stop', 'stop', [CompletionResultType]::ParameterValue, 'Stop a run once what is being evaluated is done, or at once')
            [CompletionResult]::new('rollback', 'rollback', [CompletionResultType]::ParameterValue, 'Go back to an earlier generation, and set aside what came after it')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Take a run that stopped, failed or finished up again, with wider limits if given')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;runs;help;list' {
            break
        }
        'darwin;runs;help;show' {
            break
        }
        'darwin;runs;help;watch' {
            break
        }
        'darwin;runs;help;stop' {
            break
        }
        'darwin;runs;help;rollback' {
            break
        }
        'darwin;runs;help;resume' {
            break
        }
        'darwin;runs;help;help' {
            break
        }
        'darwin;eval' {
            [CompletionResult]::new('--suite', '--suite', [CompletionResultType]::ParameterName, 'The suite: a suite.toml, a darwin.toml with one, or the directory of either or of an OpenEvolve problem or a ShinkaEvolve task [default: that of the project in DIR]')
            [CompletionResult]::new('--fail-under', '--fail-under', [CompletionResultType]::ParameterName, 'Exit with 1 if the mean score is worse than this (above it, if the suite minimises)')
            [CompletionResult]::new('--junit', '--junit', [CompletionResultType]::ParameterName, 'Also write the results as JUnit XML')
            [CompletionResult]::new('--repeat', '--repeat', [CompletionResultType]::ParameterName, 'Evaluate this many times, with seeds that count up [default: the suite''s `repeats`]')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed of the evaluation')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'What to do where a layer of the sandbox is missing: refuse, or go on without it [default: as configured]')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--github', '--github', [CompletionResultType]::ParameterName, 'Also write annotations for GitHub''s workflows to stderr [default: where GITHUB_ACTIONS is true]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'darwin;agents' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show an agent: its score, parents, operators, files and parameters')
            [CompletionResult]::new('files', 'files', [CompletionResultType]::ParameterValue, 'List an agent''s files, or print one')
            [CompletionResult]::new('artifacts', 'artifacts', [CompletionResultType]::ParameterValue, 'List what an agent''s evaluations left beside metrics, or print one, byte for byte')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Write an agent''s files into a directory, and its parameters as params.json')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;agents;show' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;agents;files' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;agents;artifacts' {
            [CompletionResult]::new('--evaluation', '--evaluation', [CompletionResultType]::ParameterName, 'Only those of this evaluation')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'darwin;agents;export' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Write into a directory that isn''t empty, over what is there')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;agents;help' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show an agent: its score, parents, operators, files and parameters')
            [CompletionResult]::new('files', 'files', [CompletionResultType]::ParameterValue, 'List an agent''s files, or print one')
            [CompletionResult]::new('artifacts', 'artifacts', [CompletionResultType]::ParameterValue, 'List what an agent''s evaluations left beside metrics, or print one, byte for byte')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Write an agent''s files into a directory, and its parameters as params.json')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;agents;help;show' {
            break
        }
        'darwin;agents;help;files' {
            break
        }
        'darwin;agents;help;artifacts' {
            break
        }
        'darwin;agents;help;export' {
            break
        }
        'darwin;agents;help;help' {
            break
        }
        'darwin;lineage' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('tree', 'tree', [CompletionResultType]::ParameterValue, 'Draw a run''s agents as a tree: those that were the best in their time, or all')
            [CompletionResult]::new('ancestors', 'ancestors', [CompletionResultType]::ParameterValue, 'List an agent''s ancestors, the nearest first')
            [CompletionResult]::new('descendants', 'descendants', [CompletionResultType]::ParameterValue, 'List an agent''s descendants, the nearest first')
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Show how one agent''s files and parameters differ from another''s')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check every signature, link, digest and score record of an agent''s ancestry')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Write an agent''s ancestry to a file: a CAR to verify anywhere, or JSON')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;lineage;tree' {
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'Look at no more than this many agents, the oldest first')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Draw every agent')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'darwin;lineage;ancestors' {
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'At most this many')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;lineage;descendants' {
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'At most this many')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;lineage;diff' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;lineage;verify' {
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Of a file: trust the signing key of this fingerprint (may be repeated)')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;lineage;export' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'The form')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The file; - or nothing: stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The file; - or nothing: stdout')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--disclose', '--disclose', [CompletionResultType]::ParameterName, 'Put the session''s key into the CAR, so that whoever has it can read the contents')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'darwin;lineage;help' {
            [CompletionResult]::new('tree', 'tree', [CompletionResultType]::ParameterValue, 'Draw a run''s agents as a tree: those that were the best in their time, or all')
            [CompletionResult]::new('ancestors', 'ancestors', [CompletionResultType]::ParameterValue, 'List an agent''s ancestors, the nearest first')
            [CompletionResult]::new('descendants', 'descendants', [CompletionResultType]::ParameterValue, 'List an agent''s descendants, the nearest first')
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Show how one agent''s files and parameters differ from another''s')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check every signature, link, digest and score record of an agent''s ancestry')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Write an agent''s ancestry to a file: a CAR to verify anywhere, or JSON')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;lineage;help;tree' {
            break
        }
        'darwin;lineage;help;ancestors' {
            break
        }
        'darwin;lineage;help;descendants' {
            break
        }
        'darwin;lineage;help;diff' {
            break
        }
        'darwin;lineage;help;verify' {
            break
        }
        'darwin;lineage;help;export' {
            break
        }
        'darwin;lineage;help;help' {
            break
        }
        'darwin;journal' {
            [CompletionResult]::new('--only', '--only', [CompletionResultType]::ParameterName, 'Only events of this kind, or of agents with this verdict (may be repeated)')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Only what happened since: a time ago, like 90s or 2h; or @SECONDS since 1970')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'At most this many entries')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'The form')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'darwin;session' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Begin a session')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List sessions, the last used first')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Come back to a session: what ran in it, and what still does')
            [CompletionResult]::new('context', 'context', [CompletionResultType]::ParameterValue, 'Print what you keep with a session, or replace it')
            [CompletionResult]::new('join', 'join', [CompletionResultType]::ParameterValue, 'Talk in a room of a session, with people and agents who are in it')
            [CompletionResult]::new('invite', 'invite', [CompletionResultType]::ParameterValue, 'Have an agent be in a room, in a sandbox, as long as this runs')
            [CompletionResult]::new('rooms', 'rooms', [CompletionResultType]::ParameterValue, 'List the rooms of a session that somebody is in')
            [CompletionResult]::new('close', 'close', [CompletionResultType]::ParameterValue, 'Close a session: it can be read, but no new run may join it')
            [CompletionResult]::new('shred', 'shred', [CompletionResultType]::ParameterValue, 'Destroy a closed session''s key, so that nobody can read its contents again')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;session;new' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;session;list' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Closed ones too')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;session;resume' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;session;context' {
            [CompletionResult]::new('--set', '--set', [CompletionResultType]::ParameterName, 'Replace it by the text in this file; - for stdin')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--clear', '--clear', [CompletionResultType]::ParameterName, 'Leave none')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'darwin;session;join' {
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'The session''s id, a unique start of it, or its name; without it, your default session')
            [CompletionResult]::new('--as', '--as', [CompletionResultType]::ParameterName, 'What the others call you; without it, your user name')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'darwin;session;invite' {
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'The session''s id, a unique start of it, or its name; without it, your default session')
            [CompletionResult]::new('--as', '--as', [CompletionResultType]::ParameterName, 'What the others call it; without it, the start of its id')
            [CompletionResult]::new('--time', '--time', [CompletionResultType]::ParameterName, 'How long it may stay, for example 10m; without it, an hour')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'What to do where a layer of the sandbox is missing: refuse, or go on without it')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'darwin;session;rooms' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;session;close' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;session;shred' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--yes', '--yes', [CompletionResultType]::ParameterName, 'Do not ask')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'darwin;session;help' {
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Begin a session')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List sessions, the last used first')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Come back to a session: what ran in it, and what still does')
            [CompletionResult]::new('context', 'context', [CompletionResultType]::ParameterValue, 'Print what you keep with a session, or replace it')
            [CompletionResult]::new('join', 'join', [CompletionResultType]::ParameterValue, 'Talk in a room of a session, with people and agents who are in it')
            [CompletionResult]::new('invite', 'invite', [CompletionResultType]::ParameterValue, 'Have an agent be in a room, in a sandbox, as long as this runs')
            [CompletionResult]::new('rooms', 'rooms', [CompletionResultType]::ParameterValue, 'List the rooms of a session that somebody is in')
            [CompletionResult]::new('close', 'close', [CompletionResultType]::ParameterValue, 'Close a session: it can be read, but no new run may join it')
            [CompletionResult]::new('shred', 'shred', [CompletionResultType]::ParameterValue, 'Destroy a closed session''s key, so that nobody can read its contents again')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;session;help;new' {
            break
        }
        'darwin;session;help;list' {
            break
        }
        'darwin;session;help;resume' {
            break
        }
        'darwin;session;help;context' {
            break
        }
        'darwin;session;help;join' {
            break
        }
        'darwin;session;help;invite' {
            break
        }
        'darwin;session;help;rooms' {
            break
        }
        'darwin;session;help;close' {
            break
        }
        'darwin;session;help;shred' {
            break
        }
        'darwin;session;help;help' {
            break
        }
        'darwin;blob' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('put', 'put', [CompletionResultType]::ParameterValue, 'Store a file, and print its digest')
            [CompletionResult]::new('get', 'get', [CompletionResultType]::ParameterValue, 'Write a blob to a file or to stdout, checked against its digest')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List a session''s blobs, the last begun first')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;blob;put' {
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'What you call it; without it, the file''s name')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'The session''s id, a unique start of it, or its name; without it, your default session')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;blob;get' {
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'The file; - or nothing: stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'The file; - or nothing: stdout')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'The session''s id, a unique start of it, or its name; without it, your default session')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;blob;list' {
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'The session''s id, a unique start of it, or its name; without it, your default session')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;blob;help' {
            [CompletionResult]::new('put', 'put', [CompletionResultType]::ParameterValue, 'Store a file, and print its digest')
            [CompletionResult]::new('get', 'get', [CompletionResultType]::ParameterValue, 'Write a blob to a file or to stdout, checked against its digest')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List a session''s blobs, the last begun first')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;blob;help;put' {
            break
        }
        'darwin;blob;help;get' {
            break
        }
        'darwin;blob;help;list' {
            break
        }
        'darwin;blob;help;help' {
            break
        }
        'darwin;store' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check every stored block, signature, link, digest and row')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;store;verify' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;store;help' {
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check every stored block, signature, link, digest and row')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;store;help;verify' {
            break
        }
        'darwin;store;help;help' {
            break
        }
        'darwin;pki' {
            [CompletionResult]::new('--pki', '--pki', [CompletionResultType]::ParameterName, 'Where the authority lies [default: pki/ in the data directory]')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Make an authority, before a daemon does on its first start')
            [CompletionResult]::new('issue', 'issue', [CompletionResultType]::ParameterValue, 'Issue a certificate to somebody: a directory with certificate, key and authority')
            [CompletionResult]::new('renew', 'renew', [CompletionResultType]::ParameterValue, 'Issue a new certificate to whom has one; the old one stays good until it ends')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Take certificates back: their holders are refused, and cut off where they are connected')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List what was issued, the newest first, and how each stands')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Have a new authority sign from now on; the old one is trusted until its last certificate ends')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;pki;init' {
            [CompletionResult]::new('--pki', '--pki', [CompletionResultType]::ParameterName, 'Where the authority lies [default: pki/ in the data directory]')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;pki;issue' {
            [CompletionResult]::new('--role', '--role', [CompletionResultType]::ParameterName, 'What its holder may do')
            [CompletionResult]::new('--days', '--days', [CompletionResultType]::ParameterName, 'How many days it is good for')
            [CompletionResult]::new('--out', '--out', [CompletionResultType]::ParameterName, 'Where to write it [default: a directory of that name]')
            [CompletionResult]::new('--pki', '--pki', [CompletionResultType]::ParameterName, 'Where the authority lies [default: pki/ in the data directory]')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;pki;renew' {
            [CompletionResult]::new('--days', '--days', [CompletionResultType]::ParameterName, 'How many days it is good for')
            [CompletionResult]::new('--out', '--out', [CompletionResultType]::ParameterName, 'Where to write it [default: a directory of that name]')
            [CompletionResult]::new('--pki', '--pki', [CompletionResultType]::ParameterName, 'Where the authority lies [default: pki/ in the data directory]')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;pki;revoke' {
            [CompletionResult]::new('--pki', '--pki', [CompletionResultType]::ParameterName, 'Where the authority lies [default: pki/ in the data directory]')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;pki;list' {
            [CompletionResult]::new('--pki', '--pki', [CompletionResultType]::ParameterName, 'Where the authority lies [default: pki/ in the data directory]')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;pki;rotate' {
            [CompletionResult]::new('--pki', '--pki', [CompletionResultType]::ParameterName, 'Where the authority lies [default: pki/ in the data directory]')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;pki;help' {
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Make an authority, before a daemon does on its first start')
            [CompletionResult]::new('issue', 'issue', [CompletionResultType]::ParameterValue, 'Issue a certificate to somebody: a directory with certificate, key and authority')
            [CompletionResult]::new('renew', 'renew', [CompletionResultType]::ParameterValue, 'Issue a new certificate to whom has one; the old one stays good until it ends')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Take certificates back: their holders are refused, and cut off where they are connected')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List what was issued, the newest first, and how each stands')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Have a new authority sign from now on; the old one is trusted until its last certificate ends')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;pki;help;init' {
            break
        }
        'darwin;pki;help;issue' {
            break
        }
        'darwin;pki;help;renew' {
            break
        }
        'darwin;pki;help;revoke' {
            break
        }
        'darwin;pki;help;list' {
            break
        }
        'darwin;pki;help;rotate' {
            break
        }
        'darwin;pki;help;help' {
            break
        }
        'darwin;status' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;doctor' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'darwin;config' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show every value and where it comes from')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check the configuration, or a file before it is put in place; exits with 78 on a mistake')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;config;show' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;config;check' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;config;help' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show every value and where it comes from')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check the configuration, or a file before it is put in place; exits with 78 on a mistake')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;config;help;show' {
            break
        }
        'darwin;config;help;check' {
            break
        }
        'darwin;config;help;help' {
            break
        }
        'darwin;up' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;down' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;explain' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;completions' {
            [CompletionResult]::new('--write', '--write', [CompletionResultType]::ParameterName, 'Write those of all shells, those of darwind, and the man pages into this directory instead')
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;man' {
            [CompletionResult]::new('--address', '--address', [CompletionResultType]::ParameterName, 'Talk to the daemon at this address (client.address)')
            [CompletionResult]::new('--identity', '--identity', [CompletionResultType]::ParameterName, 'Show the daemon the certificate in this directory (client.identity)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print data as JSON ("format": "darwin/1"): one document, or one a line')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on stderr but warnings and errors')
            [CompletionResult]::new('--no-start', '--no-start', [CompletionResultType]::ParameterName, 'Do not start a daemon if none runs')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'darwin;help' {
            [CompletionResult]::new('evolve', 'evolve', [CompletionResultType]::ParameterValue, 'Evolve agents against a suite, from a darwin.toml, an OpenEvolve problem or a ShinkaEvolve task')
            [CompletionResult]::new('runs', 'runs', [CompletionResultType]::ParameterValue, 'List, show, watch, stop and resume runs, or go back in one')
            [CompletionResult]::new('eval', 'eval', [CompletionResultType]::ParameterValue, 'Evaluate an agent, or a directory, against a suite')
            [CompletionResult]::new('agents', 'agents', [CompletionResultType]::ParameterValue, 'Show agents and write them to disk')
            [CompletionResult]::new('lineage', 'lineage', [CompletionResultType]::ParameterValue, 'Show, compare, verify and export where agents come from')
            [CompletionResult]::new('journal', 'journal', [CompletionResultType]::ParameterValue, 'Read the journal of an agent, or those of a run''s agents')
            [CompletionResult]::new('session', 'session', [CompletionResultType]::ParameterValue, 'Group runs into sessions, and come back to them')
            [CompletionResult]::new('blob', 'blob', [CompletionResultType]::ParameterValue, 'Keep files of any size with a session: weights, data sets')
            [CompletionResult]::new('store', 'store', [CompletionResultType]::ParameterValue, 'Check what is stored')
            [CompletionResult]::new('pki', 'pki', [CompletionResultType]::ParameterValue, 'Issue, renew and revoke the certificates that open the daemon''s port')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show the daemon''s state; exits with 69 if none runs')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Check this machine: configuration, daemon, stores, sandbox, Python')
            [CompletionResult]::new('config', 'config', [CompletionResultType]::ParameterValue, 'Show and check the configuration')
            [CompletionResult]::new('up', 'up', [CompletionResultType]::ParameterValue, 'Start this user''s daemon, if it isn''t there')
            [CompletionResult]::new('down', 'down', [CompletionResultType]::ParameterValue, 'End this user''s daemon: it finishes what it began; runs go on when it is started again')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain an error code, or list all of them')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print completions for a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Show the manual page of darwin, of one of its commands, or of darwind')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'darwin;help;evolve' {
            break
        }
        'darwin;help;runs' {
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List runs, the newest first')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show a run: its state, its best agent, why it ended')
            [CompletionResult]::new('watch', 'watch', [CompletionResultType]::ParameterValue, 'Follow a run to its end; Ctrl-C leaves, and the run goes on')
            [CompletionResult]::new('stop', 'stop', [CompletionResultType]::ParameterValue, 'Stop a run once what is being evaluated is done, or at once')
            [CompletionResult]::new('rollback', 'rollback', [CompletionResultType]::ParameterValue, 'Go back to an earlier generation, and set aside what came after it')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Take a run that stopped, failed or finished up again, with wider limits if given')
            break
        }
        'darwin;help;runs;list' {
            break
        }
        'darwin;help;runs;show' {
            break
        }
        'darwin;help;runs;watch' {
            break
        }
        'darwin;help;runs;stop' {
            break
        }
        'darwin;help;runs;rollback' {
            break
        }
        'darwin;help;runs;resume' {
            break
        }
        'darwin;help;eval' {
            break
        }
        'darwin;help;agents' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show an agent: its score, parents, operators, files and parameters')
            [CompletionResult]::new('files', 'files', [CompletionResultType]::ParameterValue, 'List an agent''s files, or print one')
            [CompletionResult]::new('artifacts', 'artifacts', [CompletionResultType]::ParameterValue, 'List what an agent''s evaluations left beside metrics, or print one, byte for byte')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Write an agent''s files into a directory, and its parameters as params.json')
            break
        }
        'darwin;help;agents;show' {
            break
        }
        'darwin;help;agents;files' {
            break
        }
        'darwin;help;agents;artifacts' {
            break
        }
        'darwin;help;agents;export' {
            break
        }
        'darwin;help;lineage' {
            [CompletionResult]::new('tree', 'tree', [CompletionResultType]::ParameterValue, 'Draw a run''s agents as a tree: those that were the best in their time, or all')
            [CompletionResult]::new('ancestors', 'ancestors', [CompletionResultType]::ParameterValue, 'List an agent''s ancestors, the nearest first')
            [CompletionResult]::new('descendants', 'descendants', [CompletionResultType]::ParameterValue, 'List an agent''s descendants, the nearest first')
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Show how one agent''s files and parameters differ from another''s')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check every signature, link, digest and score record of an agent''s ancestry')
            [CompletionResult]::new('export', 'export', [CompletionResultType]::ParameterValue, 'Write an agent''s ancestry to a file: a CAR to verify anywhere, or JSON')
            break
        }
        'darwin;help;lineage;tree' {
            break
        }
        'darwin;help;lineage;ancestors' {
            break
        }
        'darwin;help;lineage;descendants' {
            break
        }
        'darwin;help;lineage;diff' {
            break
        }
        'darwin;help;lineage;verify' {
            break
        }
        'darwin;help;lineage;export' {
            break
        }
        'darwin;help;journal' {
            break
        }
        'darwin;help;session' {
            [CompletionResult]::new('new', 'new', [CompletionResultType]::ParameterValue, 'Begin a session')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List sessions, the last used first')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Come back to a session: what ran in it, and what still does')
            [CompletionResult]::new('context', 'context', [CompletionResultType]::ParameterValue, 'Print what you keep with a session, or replace it')
            [CompletionResult]::new('join', 'join', [CompletionResultType]::ParameterValue, 'Talk in a room of a session, with people and agents who are in it')
            [CompletionResult]::new('invite', 'invite', [CompletionResultType]::ParameterValue, 'Have an agent be in a room, in a sandbox, as long as this runs')
            [CompletionResult]::new('rooms', 'rooms', [CompletionResultType]::ParameterValue, 'List the rooms of a session that somebody is in')
            [CompletionResult]::new('close', 'close', [CompletionResultType]::ParameterValue, 'Close a session: it can be read, but no new run may join it')
            [CompletionResult]::new('shred', 'shred', [CompletionResultType]::ParameterValue, 'Destroy a closed session''s key, so that nobody can read its contents again')
            break
        }
        'darwin;help;session;new' {
            break
        }
        'darwin;help;session;list' {
            break
        }
        'darwin;help;session;resume' {
            break
        }
        'darwin;help;session;context' {
            break
        }
        'darwin;help;session;join' {
            break
        }
        'darwin;help;session;invite' {
            break
        }
        'darwin;help;session;rooms' {
            break
        }
        'darwin;help;session;close' {
            break
        }
        'darwin;help;session;shred' {
            break
        }
        'darwin;help;blob' {
            [CompletionResult]::new('put', 'put', [CompletionResultType]::ParameterValue, 'Store a file, and print its digest')
            [CompletionResult]::new('get', 'get', [CompletionResultType]::ParameterValue, 'Write a blob to a file or to stdout, checked against its digest')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List a session''s blobs, the last begun first')
            break
        }
        'darwin;help;blob;put' {
            break
        }
        'darwin;help;blob;get' {
            break
        }
        'darwin;help;blob;list' {
            break
        }
        'darwin;help;store' {
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check every stored block, signature, link, digest and row')
            break
        }
        'darwin;help;store;verify' {
            break
        }
        'darwin;help;pki' {
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Make an authority, before a daemon does on its first start')
            [CompletionResult]::new('issue', 'issue', [CompletionResultType]::ParameterValue, 'Issue a certificate to somebody: a directory with certificate, key and authority')
            [CompletionResult]::new('renew', 'renew', [CompletionResultType]::ParameterValue, 'Issue a new certificate to whom has one; the old one stays good until it ends')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Take certificates back: their holders are refused, and cut off where they are connected')
            [CompletionResult]::new('list', 'list', [CompletionResultType]::ParameterValue, 'List what was issued, the newest first, and how each stands')
            [CompletionResult]::new('rotate', 'rotate', [CompletionResultType]::ParameterValue, 'Have a new authority sign from now on; the old one is trusted until its last certificate ends')
            break
        }
        'darwin;help;pki;init' {
            break
        }
        'darwin;help;pki;issue' {
            break
        }
        'darwin;help;pki;renew' {
            break
        }
        'darwin;help;pki;revoke' {
            break
        }
        'darwin;help;pki;list' {
            break
        }
        'darwin;help;pki;rotate' {
            break
        }
        'darwin;help;status' {
            break
        }
        'darwin;help;doctor' {
            break
        }
        'darwin;help;config' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show every value and where it comes from')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check the configuration, or a file before it is put in place; exits with 78 on a mistake')
            break
        }
        'darwin;help;config;show' {
            break
        }
        'darwin;help;config;check' {
            break
        }
        'darwin;help;up' {
            break
        }
        'darwin;help;down' {
            break
        }
        'darwin;help;explain' {
            break
        }
        'darwin;help;completions' {
            break
        }
        'darwin;help;man' {
            break
        }
        'darwin;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
