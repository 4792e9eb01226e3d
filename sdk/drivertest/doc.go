// Package drivertest is the conformance kit for drivers: a table of rules, each
// of which is checked against a real driver process.
//
// A driver's own test needs a few lines. TestMain lets the test binary stand in
// for the driver's binary, so that nothing has to be built before:
//
//	func TestMain(m *testing.M) { drivertest.Main(m, drivertest.Of(driver)) }
//
//	func TestConformance(t *testing.T) {
//		drivertest.Run(t, drivertest.Self(t, driver.Name), drivertest.Options{})
//	}
//
// [Check] does the same with any binary, in whatever language it is written.
//
// Most rules go through package host, as an application would. Those with the
// prefixes "wire/" and "process/" speak to the process directly.
package drivertest
