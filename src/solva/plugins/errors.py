"""What can be wrong with a plugin. All are SystemFailure (500), as in Docker: the request was fine."""

from solva.errors import SystemFailure


class PluginError(SystemFailure):
    """The plugin refused, or its answer is none of this protocol."""


class PluginAway(PluginError):
    """Nothing listens at its address; nothing has been sent."""


class PluginSilent(PluginError):
    """It did not answer in time. Whether it has done what was asked is unknown."""


class MethodMissing(PluginError):
    """404: the plugin does not know the method."""
