
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'darwind' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'darwind'
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
        'darwind' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file (default: darwind.toml in the configuration directory)')
            [CompletionResult]::new('--home', '--home', [CompletionResultType]::ParameterName, 'Keep everything under this directory (default: DARWIN_HOME, else the XDG directories)')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'The address of gRPC and WebSocket (server.listen)')
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The loopback address of health checks and metrics (server.admin)')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'The log''s level: error, warn, info, debug, trace, or a filter (log.level)')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'The log''s format: text or json (log.format)')
            [CompletionResult]::new('--check-config', '--check-config', [CompletionResultType]::ParameterName, 'Check the configuration and end: status 0 if it is right, 78 if not, 77 if it may not be read')
            [CompletionResult]::new('--own-session', '--own-session', [CompletionResultType]::ParameterName, 'Leave the terminal that it was started from, so that closing it ends nothing')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
