"""Everything that looks at the platform: its telemetry library, the lab, the command line."""
