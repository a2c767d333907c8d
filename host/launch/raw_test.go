package launch_test

func runRaw(string) {}
