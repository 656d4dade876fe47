//! Sorts Kafka's error codes by hand into what to do about them.
//!
//! Only a fault of the record itself ends its way to the topic. Everything that an operator or time can mend is retried for
//! ever: credentials, permissions, topics, replicas. An unknown code is retried, since giving up loses an event and
//! retrying only shows in a metric.

use rdkafka::error::RDKafkaErrorCode::{self as Code};

use crate::sink::Trouble;

/// What an error code asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it again.
    Retry(Trouble),
    /// This record, or one beside it in the same batch, will never be taken.
    Refuse(Trouble),
    /// The producer is finished; make another.
    Fatal,
}

/// The verdict on a code from a delivery report, from handing a message over, or from the client as a whole.
pub(super) fn classify(code: Code) -> Verdict {
    match code {
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            Verdict::Refuse(Trouble::TooLarge)
        }
        Code::InvalidRecord | Code::InvalidTimestamp | Code::KeySerialization | Code::ValueSerialization => {
            Verdict::Refuse(Trouble::Invalid)
        }
        // Out-of-order and fenced sequences are mended by librdkafka itself; when they are not, it says Fatal.
        Code::Fatal | Code::GaplessGuarantee | Code::Fenced | Code::Inconsistent => Verdict::Fatal,
        other => Verdict::Retry(trouble(other)),
    }
}

/// The kind of trouble behind a code that is retried.
fn trouble(code: Code) -> Trouble {
    match code {
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::BrokerDestroy
        | Code::DestroyBroker
        | Code::BrokerNotAvailable
        | Code::NetworkException
        | Code::UnknownBroker
        | Code::CriticalSystemResource => Trouble::Unreachable,
        Code::MessageTimedOut
        | Code::OperationTimedOut
        | Code::TimedOutQueue
        | Code::RequestTimedOut
        | Code::ThrottlingQuotaExceeded => Trouble::Timeout,
        Code::Authentication
        | Code::SSL
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::SecurityDisabled => Trouble::Authentication,
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => Trouble::Authorization,
        Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::UnknownTopicId
        | Code::InvalidTopic => Trouble::Topic,
        Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::ISRInsufficient
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::ReplicaNotAvailable
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::KafkaStorageError => Trouble::Replicas,
        Code::InvalidConfig
        | Code::InvalidArgument
        | Code::InvalidRequiredAcks
        | Code::UnsupportedCompressionType
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedVersion
        | Code::UnsupportedFeature
        | Code::PolicyViolation => Trouble::Settings,
        Code::InvalidMessage | Code::InvalidDifferentRecord => Trouble::Invalid,
        _ => Trouble::Other,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode as Code;

    use super::{Verdict, classify};
    use crate::sink::Trouble;

    #[test]
    fn what_an_operator_can_mend_is_retried_for_ever() {
        for code in [
            Code::SaslAuthenticationFailed,
            Code::TopicAuthorizationFailed,
            Code::ClusterAuthorizationFailed,
            Code::UnknownTopicOrPartition,
            Code::UnknownTopic,
            Code::NotEnoughReplicas,
            Code::RequestTimedOut,
            Code::SSL,
            Code::OutOfOrderSequenceNumber,
            Code::PurgeInflight,
            Code::Unknown,
        ] {
            assert!(matches!(classify(code), Verdict::Retry(_)), "{code:?}");
        }
    }

    #[test]
    fn only_a_fault_of_the_record_is_refused() {
        assert_eq!(classify(Code::MessageSizeTooLarge), Verdict::Refuse(Trouble::TooLarge));
        assert_eq!(classify(Code::InvalidRecord), Verdict::Refuse(Trouble::Invalid));
        assert_eq!(classify(Code::InvalidDifferentRecord), Verdict::Retry(Trouble::Invalid));
    }

    #[test]
    fn a_finished_producer_is_made_anew() {
        assert_eq!(classify(Code::Fatal), Verdict::Fatal);
    }
}
