"""What the machine, its cards and the servers do: /proc, sysfs, NVML, HTTP answers and the servers' logs."""
