"""The dialect of PBS: OpenPBS, PBS Professional and Torque."""
