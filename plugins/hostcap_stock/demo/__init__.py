"""The demo feeder that ships with hostcap: a small synthetic network and two studies of it."""
