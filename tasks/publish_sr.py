"""Takes one result and its series, returns a DICOM SR that states it (TID 1500 Measurement Report). Pure.

Codes and their sources stand in docs/publish.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import (
    AlgorithmIdentification,
    CodedConcept,
    ComprehensiveSR,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    ImageContentItem,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    TextContentItem,
    TrackingIdentifier,
    UIDRefContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import ComprehensiveSRStorage

from tasks.publish_facts import (
    MANUFACTURER,
    SERIES_NUMBERS,
    ObjectUids,
    Reference,
    ScoredResult,
    SourceSeries,
    caveats,
    put_in_study,
    stand_in,
)

# SNOMED CT 72704001 |Fracture (morphologic abnormality)| at the finding site 51282000 |Vertebra| (DICOM CID 7151).
FRACTURE = CodedConcept("72704001", "SCT", "Fracture")
# Our own, by the private designator that PS3.16 section 8.2 asks for (99...): no public code says this.
FLAGGED = CodedConcept("FLAGGED", "99OVF", "At or over the operating point")
OUR_CODES = CodingSchemeIdentificationItem(
    "99OVF", name="Codes of ovf", responsible_organization=MANUFACTURER
)


def sr_reference(uids: ObjectUids, facts: str, predecessor_uid: str | None) -> Reference:
    """Where the SR of these facts will lie."""
    return Reference.made_of(ComprehensiveSRStorage, uids, "sr", facts, predecessor_uid or "")


def build_sr(
    result: ScoredResult,
    source: SourceSeries,
    *,
    place: Reference,
    uids: ObjectUids,
    capture: Reference | None,
    predecessor: Reference | None,
    test_system: str | None,
) -> Dataset:
    """The SR, ready to be sent. `capture`: the picture sent with it; `predecessor`: the SR it takes the place of."""
    first = stand_in(source)
    evidence = [first, *_other_instances(source)]
    if capture is not None:
        evidence.append(stand_in(source, capture))
    report = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=_observer(result, uids)),
        procedure_reported=codes.cid100.CTUnspecifiedBodyRegion,
        imaging_measurements=[_group(result, source, uids, capture, test_system)],
    )
    made = ComprehensiveSR(
        evidence=evidence,
        content=report[0],
        series_instance_uid=place.series_instance_uid,
        series_number=SERIES_NUMBERS["sr"],
        sop_instance_uid=place.sop_instance_uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=result.model_id[:64],
        software_versions=result.code_version[:64],
        coding_schemes=[OUR_CODES],
        is_complete=True,
        is_final=False,
        is_verified=False,
        previous_versions=None if predecessor is None else [stand_in(source, predecessor)],
    )
    return put_in_study(made, source, result.scored_at, test_system)


def _other_instances(source: SourceSeries) -> Sequence[Dataset]:
    found = []
    for sop_class_uid, sop_instance_uid in source.instances[1:]:
        item = Dataset()
        item.SOPClassUID, item.SOPInstanceUID = sop_class_uid, sop_instance_uid
        item.StudyInstanceUID, item.SeriesInstanceUID = source.study_instance_uid, source.series_instance_uid
        found.append(item)
    return found


def _observer(result: ScoredResult, uids: ObjectUids) -> ObserverContext:
    """TID 1004: the model is the observer, nobody else."""
    return ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=DeviceObserverIdentifyingAttributes(
            uid=uids.object_uid("device", result.model_digest),
            name=result.model_id,
            manufacturer_name=MANUFACTURER,
            model_name=result.model_id,
            serial_number=result.model_digest,
        ),
    )


def _group(
    result: ScoredResult,
    source: SourceSeries,
    uids: ObjectUids,
    capture: Reference | None,
    test_system: str | None,
) -> MeasurementsAndQualitativeEvaluations:
    """TID 1501: finding, site, algorithm, probability, whether it is at or over the operating point, caveats."""
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=uids.object_uid("tracking", result.study_key, "vertebral fracture"),
            identifier="vertebral fracture, whole scan",
        ),
        finding_type=FRACTURE,
        finding_sites=[FindingSite(anatomic_location=codes.SCT.Vertebra)],
        algorithm_id=_algorithm(result),
        measurements=[
            Measurement(name=codes.DCM.Probability, value=float(result.probability), unit=codes.UCUM.NoUnits)
        ],
        qualitative_evaluations=[
            QualitativeEvaluation(name=FLAGGED, value=codes.SCT.Yes if result.is_flagged else codes.SCT.No)
        ],
    )
    more = group[0].ContentSequence
    contains = RelationshipTypeValues.CONTAINS
    more.append(TextContentItem(codes.DCM.Comment, caveats(result, test_system), contains))
    more.append(UIDRefContentItem(codes.DCM.SeriesInstanceUID, source.series_instance_uid, contains))
    if capture is not None:
        more.append(
            ImageContentItem(
                codes.DCM.IllustrationOfROI,
                capture.sop_class_uid,
                capture.sop_instance_uid,
                relationship_type=contains,
            )
        )
    return group


def _algorithm(result: ScoredResult) -> AlgorithmIdentification:
    """TID 4019. The version is the digest of weights and config: two models of one name cannot be confused."""
    return AlgorithmIdentification(
        name=result.model_id,
        version=result.model_digest,
        manufacturer=MANUFACTURER,
        family=codes.DCM.ArtificialIntelligence,
        parameters=[
            f"operating point {result.operating_point_id}: flagged from probability {result.threshold:.6g} on",
            f"probability = 1 / (1 + exp(-({result.calibration_slope:.6g} * logit + "
            f"{result.calibration_intercept:.6g}))), logit {result.logit:.6g}",
            f"storage recipe {result.storage_recipe}, view recipe {result.view_recipe}",
            f"code version {result.code_version}",
        ],
    )
