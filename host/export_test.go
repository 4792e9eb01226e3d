package host

// RaceDetector is raceDetector for the tests outside the package.
var RaceDetector = raceDetector
