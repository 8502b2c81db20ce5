complete -c darwind -l config -d 'The configuration file (default: darwind.toml in the configuration directory)' -r -F
complete -c darwind -l home -d 'Keep everything under this directory (default: DARWIN_HOME, else the XDG directories)' -r -f -a "(__fish_complete_directories)"
complete -c darwind -l listen -d 'The address of gRPC and WebSocket (server.listen)' -r
complete -c darwind -l admin -d 'The loopback address of health checks and metrics (server.admin)' -r
complete -c darwind -l log-level -d 'The log\'s level: error, warn, info, debug, trace, or a filter (log.level)' -r
complete -c darwind -l log-format -d 'The log\'s format: text or json (log.format)' -r
complete -c darwind -l check-config -d 'Check the configuration and end: status 0 if it is right, 78 if not, 77 if it may not be read'
complete -c darwind -l own-session -d 'Leave the terminal that it was started from, so that closing it ends nothing'
complete -c darwind -s h -l help -d 'Print help (see more with \'--help\')'
complete -c darwind -s V -l version -d 'Print version'
