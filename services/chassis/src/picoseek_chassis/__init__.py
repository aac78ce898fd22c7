"""What every PicoSeek service process needs: settings, server life, health, errors, telemetry."""
