package host

import "github.com/logplug/logplug/shared/logdriver"

// LoggerOptions describes the options that the host itself takes out of
// Info.Config, for all drivers. An option of a driver with one of their names
// would never reach it.
func LoggerOptions() []logdriver.Option { return hostOptions() }
