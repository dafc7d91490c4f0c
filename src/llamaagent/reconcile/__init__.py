"""One pass: load, observe, decide, act, record, publish. `decide` is pure; the rest is the edge."""
