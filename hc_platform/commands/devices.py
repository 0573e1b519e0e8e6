"""`hc devices`: register, look at and commission chargers.

What belongs here: options, tables, the installer's questions. What does not: looking a place up
(`charging.commissioning`), or keeping a device (`charging.registry`).
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from hc_platform.charging.changing import change_device
from hc_platform.charging.commissioning.candidates import Sources, commission
from hc_platform.charging.commissioning.geocoder import GeocoderError, locate
from hc_platform.charging.commissioning.model import Commissioning
from hc_platform.charging.models import Command, Device
from hc_platform.charging.overrides import charge_now, depart, end_charge_now
from hc_platform.charging.policies import load_policies
from hc_platform.charging.registry.base import ConflictError
from hc_platform.charging.site import Site
from hc_platform.charging.tariffs.loading import Tariffs, load_tariffs
from hc_platform.commands.near import lines_told
from hc_platform.commands.registering import checked, read_csv, refuse_shared_address
from hc_platform.commands.shared import DataDir, in_words, instant, known, opened, settings_of
from hc_platform.ingesting import MistakeError
from hc_platform.reference.reading import SHIPPED
from hc_platform.settings import Settings
from hc_platform.terminal import err, print_table, say

app = typer.Typer(help="Register and look at chargers.", no_args_is_help=True)
DeviceId = Annotated[str, typer.Argument(help="A device's id.")]


@app.command()
def add(
    device_id: DeviceId,
    utility: Annotated[
        str | None, typer.Option(help="Its electric utility, as tou_schedules/ names it.")
    ] = None,
    plan: Annotated[str | None, typer.Option(help="Its tariff at that utility.")] = None,
    confirmed_by: Annotated[str | None, typer.Option(help="Who says so: installer, customer, bill.")] = None,
    wireless_id: Annotated[str | None, typer.Option(help="The id that the downlink addresses.")] = None,
    address: Annotated[str | None, typer.Option(help="Where it is installed.")] = None,
    geocode: Annotated[bool, typer.Option(help="Ask the US Census geocoder where the address is.")] = False,
    zip_code: Annotated[str | None, typer.Option("--zip", help="ZIP code of the place.")] = None,
    lat: Annotated[float | None, typer.Option(help="Latitude, degrees.")] = None,
    lon: Annotated[float | None, typer.Option(help="Longitude, degrees.")] = None,
    meter: Annotated[str | None, typer.Option(help="The utility meter's number.")] = None,
    region: Annotated[
        str | None, typer.Option(help="WattTime region; default asked for lat and lon.")
    ] = None,
    policy: Annotated[str, typer.Option(help="Name of a policy in charge_policies.yaml.")] = "default",
    legacy: Annotated[bool, typer.Option(help="It understands pause and allow only, no windows.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Register a charger. Without --utility and --plan, the utilities that may serve the place are listed and none is
    chosen: the installer says which, by the customer's bill.
    """
    settings = settings_of(data_dir)
    with opened(settings) as site:
        if site.registry.device(device_id):
            raise MistakeError(f"{device_id} is registered already; see `hc devices show {device_id}`")
        if geocode:
            lat, lon, zip_code = _geocoded(address)
        tariffs = load_tariffs(settings.tariffs)
        place = _place(site, settings, tariffs, lat, lon, zip_code, ask_region=region is None)
        if utility is None or plan is None:
            _show_place(place, settings)
            raise MistakeError("say which with --utility and --plan; `hc tariffs list` shows all plans")
        now = site.now()
        found = region or place.watttime_region
        device = checked(
            tariffs,
            load_policies(settings.policies),
            device_id=device_id,
            wireless_device_id=wireless_id,
            protocol="legacy" if legacy else "window",
            install_address=address,
            meter_number=meter,
            lat=lat,
            lon=lon,
            utility_id=utility,
            rate_plan=plan,
            plan_confirmed_by=confirmed_by,
            watttime_region=found,
            region_checked_at=now if found and found == place.watttime_region else None,
            policy_id=policy,
        )
        refuse_shared_address(_registered(site), [device])
        _warn_of(place, utility)
        site.registry.put_device(device, now=now)
        for note in place.notes:
            err.print(f"  note: {note}", markup=False, soft_wrap=True)
        say(
            f"{device_id}: {utility}/{plan}, region {found or 'none: MOER will not pause it'}, policy {policy}"
        )


@app.command("list")
def list_(
    status: Annotated[str | None, typer.Option(help="active or inactive; default both.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Every registered charger."""
    if status not in (None, "active", "inactive"):
        raise MistakeError(f"no device has the status {status!r}: give active or inactive")
    with opened(settings_of(data_dir)) as site:
        rows = [
            (d.device_id, d.status, d.schedule, d.watttime_region, d.policy_id, d.protocol, d.flag)
            for page in site.registry.devices(status)  # type: ignore[arg-type]
            for d in page
        ]
    print_table("Devices", ("device", "status", "tariff", "region", "policy", "protocol", "flag"), rows)


@app.command()
def show(device_id: DeviceId, data_dir: DataDir = None) -> None:
    """All that is known of a charger: its record, what is desired of it, its newest commands."""
    with opened(settings_of(data_dir)) as site:
        device = known(site, device_id)
        print_table(
            device_id, ("field", "value"), [(n, _told(getattr(device, n))) for n in Device.model_fields]
        )
        control = site.registry.control(device_id)
        if control is None:
            say("nothing has been decided for it yet")
            return
        print_table("Control", ("field", "value"), [(n, _told(v)) for n, v in control])
        commands = [c for page in site.registry.commands(device_id=device_id) for c in page]
        print_table(
            "Newest commands",
            ("ver", "desired", "from", "until", "status", "attempts", "sent", "acked", "error"),
            [_command_row(c) for c in sorted(commands, key=lambda c: -c.ver)[:10]],
        )


@app.command()
def deactivate(device_id: DeviceId, data_dir: DataDir = None) -> None:
    """Control it no more. If a pause stands at it, the next run takes that back, once."""
    _set_status(device_id, "inactive", data_dir)


@app.command()
def change(
    device_id: DeviceId,
    utility: Annotated[str | None, typer.Option(help="Its electric utility.")] = None,
    plan: Annotated[str | None, typer.Option(help="Its tariff.")] = None,
    confirmed_by: Annotated[str | None, typer.Option(help="Who says so.")] = None,
    wireless_id: Annotated[
        str | None, typer.Option(help="Another radio: it is told anew what to do.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="window or legacy.")] = None,
    region: Annotated[str | None, typer.Option(help="WattTime region.")] = None,
    policy: Annotated[str | None, typer.Option(help="Name of a policy.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Change what is registered of a charger; what is not given stays."""
    given = {
        "utility_id": utility,
        "rate_plan": plan,
        "plan_confirmed_by": confirmed_by,
        "wireless_device_id": wireless_id,
        "protocol": protocol,
        "watttime_region": region,
        "policy_id": policy,
    }
    updates = {name: value for name, value in given.items() if value is not None}
    settings = settings_of(data_dir)
    with opened(settings) as site:
        device = known(site, device_id)
        fields = device.model_dump(exclude={"registry_version", "created_at", "updated_at", "flag"}) | updates
        wanted = checked(load_tariffs(settings.tariffs), load_policies(settings.policies), **fields)
        others = (d for d in _registered(site) if d.device_id != device_id)
        refuse_shared_address(others, [wanted])
        try:
            change_device(site.registry, device, updates, now=site.now())
        except ConflictError as error:
            raise MistakeError(str(error)) from error
    say(f"{device_id}: {', '.join(f'{n} {v}' for n, v in updates.items()) or 'nothing changes'}")


@app.command()
def activate(device_id: DeviceId, data_dir: DataDir = None) -> None:
    """Control it again."""
    _set_status(device_id, "active", data_dir)


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="CSV; its header names device fields.")],
    data_dir: DataDir = None,
) -> None:
    """Register many chargers from a CSV file: all of them or, if a line is wrong, none."""
    settings = settings_of(data_dir)
    devices, problems = read_csv(source, load_tariffs(settings.tariffs), load_policies(settings.policies))
    with opened(settings) as site:
        taken = {d.device_id for d in _registered(site)}
        problems += [
            f"{source}: {d.device_id} is registered already" for d in devices if d.device_id in taken
        ]
        if problems:
            for problem in problems:
                err.print(problem, style="red", markup=False, soft_wrap=True)
            raise MistakeError(f"{len(problems)} problems; nothing was imported")
        refuse_shared_address(_registered(site), devices)
        now = site.now()
        for device in devices:
            site.registry.put_device(device, now=now)
    say(f"{len(devices)} devices registered")


@app.command("charge-now")
def charge_now_(
    device_id: DeviceId,
    end: Annotated[bool, typer.Option("--end", help="Take it back.")] = False,
    data_dir: DataDir = None,
) -> None:
    """The driver wants to charge: allow until the end of the pause that stands, no longer."""
    with opened(settings_of(data_dir)) as site:
        known(site, device_id)
        try:
            device = (end_charge_now if end else charge_now)(site.registry, device_id, now=site.now())
        except (ValueError, ConflictError) as error:
            raise MistakeError(str(error)) from error
    say(
        f"{device_id}: "
        + (f"allowed until {_told(device.override_until)}" if device.override_until else "Charge Now is over")
    )


@app.command("depart")
def depart_(
    device_id: DeviceId,
    at: Annotated[
        str | None, typer.Option(help="When the car leaves, with offset; none: it does not matter.")
    ] = None,
    need_hours: Annotated[float | None, typer.Option(help="Hours of charging that it needs before.")] = None,
    data_dir: DataDir = None,
) -> None:
    """The car must leave: from as many hours before as it needs, nothing pauses it."""
    with opened(settings_of(data_dir)) as site:
        known(site, device_id)
        try:
            need = None if need_hours is None else timedelta(hours=need_hours)
        except (ValueError, OverflowError):
            raise MistakeError(f"--need-hours {need_hours}: give a number of hours") from None
        try:
            depart(site.registry, device_id, at=instant(at) if at else None, need=need, now=site.now())
        except (ValueError, ConflictError) as error:
            raise MistakeError(str(error)) from error
    say(f"{device_id}: leaves at {at}, needs {need_hours} h" if at else f"{device_id}: no departure")


@app.command()
def place(
    lat: Annotated[float | None, typer.Option(help="Latitude, degrees.")] = None,
    lon: Annotated[float | None, typer.Option(help="Longitude, degrees.")] = None,
    zip_code: Annotated[str | None, typer.Option("--zip", help="ZIP code.")] = None,
    address: Annotated[str | None, typer.Option(help="A street address, for the US Census geocoder.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Which utilities may serve a place, and its grid region: all candidates, none chosen."""
    settings = settings_of(data_dir)
    if address:
        lat, lon, zip_code = _geocoded(address)
    if zip_code is None and (lat is None or lon is None):
        raise MistakeError("give --zip, --lat and --lon, or --address")
    with opened(settings) as site:
        _show_place(_place(site, settings, load_tariffs(settings.tariffs), lat, lon, zip_code), settings)


def _command_row(c: Command) -> tuple[Any, ...]:
    times = (_told(c.window_start), _told(c.window_end))
    return (c.ver, c.desired, *times, c.status, c.attempts, _told(c.sent_at), _told(c.acked_at), c.error)


def _registered(site: Site) -> Iterator[Device]:
    return (device for page in site.registry.devices() for device in page)


def _set_status(device_id: str, status: str, data_dir: Path | None) -> None:
    with opened(settings_of(data_dir)) as site:
        device = known(site, device_id)
        site.registry.put_device(device.model_copy(update={"status": status}), now=site.now())
    say(f"{device_id}: {status}")


def _geocoded(address: str | None) -> tuple[float, float, str | None]:
    if not address:
        raise MistakeError("--geocode needs --address")
    try:
        found = locate(address)
    except GeocoderError as error:
        raise MistakeError(f"{error}; give --lat and --lon, or --zip") from error
    if len(found) != 1:
        listed = "; ".join(f"{p.address} ({p.lat:.5f}, {p.lon:.5f})" for p in found) or "none"
        raise MistakeError(
            f"the geocoder knows {len(found)} such places: {listed}. Give one's --lat and --lon"
        )
    return found[0].lat, found[0].lon, found[0].zip


def _local(where: str | None) -> Path | None:
    """A file of this machine; what is named by a URL is in the lake's reference tables, not here."""
    return Path(where) if where and "://" not in where else None


def _place(
    site: Site,
    settings: Settings,
    tariffs: Tariffs,
    lat: float | None,
    lon: float | None,
    zip_code: str | None,
    *,
    ask_region: bool = True,
) -> Commissioning:
    tables = [Path(p.strip()) for p in (settings.zip_tables or "").split(",") if p.strip()]
    sources = Sources(
        zip_tables=tables,
        territories=_local(settings.territories),
        sales=settings.utility_sales,
        counties=settings.counties or SHIPPED / "counties.parquet",
        service_territory=settings.county_utilities,
    )
    ids = {file.eia_id: file.utility_id for file in tariffs.files.values() if file.eia_id}
    try:
        return commission(
            lat,
            lon,
            zip_code,
            sources=sources,
            watttime=site.watttime if ask_region else None,
            utility_ids=ids,
        )
    except ValidationError as error:
        raise MistakeError(in_words(error)) from error
    except ValueError as error:
        raise MistakeError(str(error)) from error


def _show_place(place: Commissioning, settings: Settings) -> None:
    rows = [
        (c.utility_id, c.name, c.eia_id, ", ".join(a.code for a in c.authorities), "; ".join(c.sources))
        for c in place.candidates
    ]
    print_table(
        "Utilities that may serve this place: the customer's bill says which",
        ("tariffs here", "utility", "EIA id", "balancing authority", "says"),
        rows,
    )
    if place.lat is not None and place.lon is not None:
        say(lines_told(settings, place.lat, place.lon))
    say(f"WattTime region: {place.watttime_region or 'not known'}")
    for note in place.notes:
        say(f"note: {note}")


def _warn_of(place: Commissioning, utility: str) -> None:
    named = [c.utility_id or c.name for c in place.candidates]
    if named and utility not in named:
        err.print(
            f"  look at the utility: {utility} is none of those that may serve this place: {', '.join(named)}",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )


def _told(value: Any) -> Any:
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if isinstance(value, datetime) else value
