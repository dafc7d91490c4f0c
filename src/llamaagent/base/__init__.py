"""The ground floor: clock, errors, units, paths, running a short program. Imports only the standard library."""
