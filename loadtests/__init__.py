"""Load tests with Locust, two deployments side by side, and the report on both."""
