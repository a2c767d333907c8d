package launch_test

const hostArgument = "-as-host"

func runHost([]string) {}
